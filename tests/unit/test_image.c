#include "config.h"

#include "base/mem.h"
#include "model/image.h"
#include "tap.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void good(const char *text, const char *want) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_IMAGE ref = {0};
  if (!ok(bt_image_parse(text, &ref, &err) == 0, "%s parses (%s)", text, bt_err_message(err)))
    return;
  BT_AUTO_FREE char *canonical = bt_image_canonical(&ref);
  is_str(canonical, want, text);
}

static void bad(const char *text) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_IMAGE ref = {0};
  ok(bt_image_parse(text, &ref, &err) == -1 && bt_err_code(err) == BT_INVALID, "\"%s\" is refused: %s", text,
     bt_err_message(err));
}

int main(void) {
  good("web", "docker.io/library/web:latest");
  good("web:1", "docker.io/library/web:1");
  good("team/web:1", "docker.io/team/web:1");
  good("localhost/web", "localhost/web:latest");
  good("localhost:5000/web", "localhost:5000/web:latest");
  good("[::1]:5000/a/b_c__d.e-f:v1", "[::1]:5000/a/b_c__d.e-f:v1");
  good("registry.example:5000/team/web@sha256:" HEX, "registry.example:5000/team/web@sha256:" HEX);
  good("web:1@sha256:" HEX, "docker.io/library/web:1@sha256:" HEX);
  good("index.docker.io/web", "docker.io/library/web:latest");
  bad("");
  bad("Web");
  bad("web:");
  bad("web:a b");
  bad("web@sha256:12");
  bad("a//b");
  bad("-a");
  bad("a..b");
  bad("a___b");
  bad("host:99999/web");
  bad("host.:80/web");
  bad("web:" HEX HEX HEX);
  ok(bt_image_is_digest("sha256:" HEX) && !bt_image_is_digest("sha256:" HEX "0"), "digests are told apart");
  return done_testing();
}
