/* Versions, their order, and ranges of them. */
#include "model/semver.h"
#include "tap.h"

static void order(void) {
  static const char *const rising[] = {"latest", "0.9",     "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
                                       "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "v1.0.1", "1.2", "1.10", "2"};
  for (size_t i = 0; i + 1 < sizeof rising / sizeof *rising; i++) {
    ok(bt_semver_compare(rising[i], rising[i + 1]) < 0, "%s comes before %s", rising[i], rising[i + 1]);
    ok(bt_semver_compare(rising[i + 1], rising[i]) > 0, "and the other way round");
  }
  ok(bt_semver_compare("1.2", "v1.2.0") == 0, "a v and zeros are nothing");
  ok(bt_semver_compare("1.0+a", "1.0+b") == 0, "nor is a build");
  ok(!bt_semver_is("latest") && !bt_semver_is("1.2.3.4") && !bt_semver_is("1.") && !bt_semver_is("") && !bt_semver_is("1.2-"), "what is none");
}

static void ranges(void) {
  static const struct {
    const char *range, *version;
    bool in;
  } cases[] = {
      {"~1.2", "1.2.9", true},      {"~1.2", "1.3.0", false},     {"~1", "1.9", true},          {"~1", "2.0", false},
      {"~1.2.3", "1.2.2", false},   {"~1.2.3", "1.2.10", true},   {"^1.2", "1.9.9", true},      {"^1.2", "2.0.0", false},
      {"^0.2.3", "0.2.9", true},    {"^0.2.3", "0.3.0", false},   {"^0.0.3", "0.0.4", false},   {"1.x", "1.7", true},
      {"1.x", "2.0", false},        {"1.2.*", "1.2.7", true},     {"*", "7.1", true},           {">=1.2 <2", "1.9", true},
      {">=1.2 <2", "2.0", false},   {"1.2 || ^3", "3.4", true},   {"1.2 || ^3", "2.4", false},  {"1.2", "1.2.5", true},
      {"=1.2.3", "1.2.3", true},    {"1.2.3", "1.2.4", false},    {"^1.2", "1.3.0-rc1", false}, {">=1.3.0-rc1", "1.3.0-rc2", true},
      {">=1.3.0-rc1", "1.4.0-rc2", false}, {"~1.2", "latest", false}, {"^1", "v1.4", true}, {"<=1.2", "1.2.0", true}, {">1.2", "1.2.0", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    ok(bt_semver_in(cases[i].range, cases[i].version) == cases[i].in, "%s is %sin %s", cases[i].version, cases[i].in ? "" : "not ",
       cases[i].range);
  static const char *const bad[] = {"", " ", "digest", "~", "^", ">=", ">=x", "1.2 ||", "|| 1", "1..2", "~1.2.3.4", "a b"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ok(bt_semver_check(bad[i], NULL) < 0, "\"%s\" is no range", bad[i]);
}

int main(void) {
  order();
  ranges();
  return done_testing();
}
