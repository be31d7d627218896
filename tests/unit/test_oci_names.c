/* berth-resolver as containers see it: started with the first network, asked over UDP and TCP from network namespaces, killed, found again,
 * gone with the last network. An upstream server is this test itself. */
#include "config.h"
#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/net/link.h"
#include "../../plugins/runtime-oci/net/netlink.h"
#include "../../plugins/runtime-oci/net/network.h"
#include "../../plugins/runtime-oci/resolver/message.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

#include "netns_kit.h"
#include "tap.h"

static char root[] = "/tmp/berth-test-names-XXXXXX", programs[4096];
static struct ro_networks *nets;
static struct ro_why why;
static int outside = -1;

struct guest {
  char id[65];
  int ns;
  json_t *net;
};

static json_t *json(const char *text) { return pu_json_parse(text, strlen(text)); }

static bool ensure(const char *name, const char *spec_text) {
  PU_AUTO_JSON spec = json(spec_text);
  PU_AUTO_JSON labels = json("{\"berth.server\": \"one\"}");
  json_t *out = NULL;
  bool good = ro_networks_ensure(nets, name, spec, labels, &out, &why) == 0;
  json_decref(out);
  return good;
}

static bool start(struct guest *g, const char *name, const char *service, const char *wants, const char *dns) {
  PU_AUTO_JSON w = json(wants);
  PU_AUTO_JSON labels = json_pack("{s:s, s:s, s:s}", "berth.service", service, "berth.app", "shop", "berth.namespace", "prod");
  PU_AUTO_JSON compose = dns ? json_pack("{s:[s]}", "dns", dns) : NULL;
  struct ro_member m = {.id = g->id, .name = name, .labels = labels, .wants = w, .service = compose};
  *g = (struct guest){.ns = -1};
  memset(g->id, 'b', 64);
  memcpy(g->id, name, strlen(name));
  if (ro_networks_up(nets, &m, &g->net, &why))
    return false;
  const json_t *i = json_array_get(pu_arr(g->net, "interfaces"), 0);
  struct ro_link l = {.name = "eth0", .host = pu_str(i, "host"), .bridge = pu_str(i, "bridge"), .gateway = pu_str(i, "gateway"), .naddresses = 1,
                      .addresses = {json_string_value(json_array_get(pu_arr(i, "addresses"), 0))}};
  ro_link_enter(&l, 1, &g->ns, &why);
  kit_go(kit_host_ns);
  return g->ns >= 0;
}

static void stop(struct guest *g) {
  close(g->ns);
  json_decref(g->net);
  ro_networks_release(nets, g->id);
}

/* ---------------------------------------------------------------- asking */

static size_t question(uint8_t *d, const char *name, unsigned type, bool edns) {
  memset(d, 0, 300);
  rs_put16(d, 0x4321);
  d[2] = 1;
  rs_put16(d + 4, 1);
  rs_put16(d + 10, edns);
  size_t n = rs_header + rs_name_wire(name, d + rs_header);
  rs_put16(d + n, type);
  rs_put16(d + n + 2, rs_in);
  n += 4;
  if (edns) {
    d[n + 2] = rs_opt;
    rs_put16(d + n + 3, 4096);
    n += 11;
  }
  return n;
}

static bool arrives(int fd, int ms) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return poll(&p, 1, ms) == 1;
}

/* "code address …" of an answer that is for question. */
static const char *text_of(const uint8_t *d, size_t len, size_t question_len) {
  static char text[8192];
  struct rs_query q;
  uint8_t plain[rs_max_message];
  if (len < rs_header || rs_get16(d) != 0x4321 || !(d[2] & 0x80))
    return "no answer";
  memcpy(plain, d, len);
  plain[2] &= 0x7d;
  memset(plain + 6, 0, 6);
  (void)question_len;
  if (rs_query_read(plain, len, &q))
    return "no question";
  size_t p = rs_header + q.wire_len + 4, at = (size_t)snprintf(text, sizeof text, "%d%s", d[3] & 15, d[2] & 2 ? " tc" : "");
  for (unsigned i = 0; i < rs_get16(d + 6) && p + 12 <= len; i++) {
    unsigned n = rs_get16(d + p + 10);
    char word[INET6_ADDRSTRLEN] = "?";
    if (rs_get16(d + p + 2) == rs_a && p + 16 <= len)
      inet_ntop(AF_INET, d + p + 12, word, sizeof word);
    at += (size_t)snprintf(text + at, sizeof text - at, " %s", word);
    p += 12 + n;
  }
  return text;
}

/* Sends without waiting. */
static int put(const struct guest *g, const char *server, const char *name, bool edns) {
  uint8_t d[512];
  int fd = kit_connect(g->ns, SOCK_DGRAM, server, 53, 500);
  size_t n = question(d, name, rs_a, edns);
  if (fd >= 0 && send(fd, d, n, 0) != (ssize_t)n)
    printf("# a question was not sent\n");
  return fd;
}

static const char *take(int fd) {
  static uint8_t d[rs_max_message];
  ssize_t n = arrives(fd, 3000) ? recv(fd, d, sizeof d, 0) : -1;
  close(fd);
  return n < 0 ? "silence" : text_of(d, (size_t)n, 0);
}

static const char *server_of(const struct guest *g) { return json_string_value(json_array_get(pu_arr(g->net, "resolvers"), 0)); }
static const char *ask(const struct guest *g, const char *name) { return take(put(g, server_of(g), name, true)); }

static const char *ask_stream(const struct guest *g, const char *name) {
  static uint8_t d[rs_max_message + 2];
  int fd = kit_connect(g->ns, SOCK_STREAM, server_of(g), 53, 2500);
  size_t n = question(d + 2, name, rs_a, false), got = 0;
  rs_put16(d, (unsigned)n);
  if (fd < 0 || send(fd, d, n + 2, 0) != (ssize_t)n + 2)
    return "no connection";
  while ((got < 2 || got < 2u + rs_get16(d)) && arrives(fd, 3000)) {
    ssize_t more = recv(fd, d + got, sizeof d - got, 0);
    if (more <= 0)
      break;
    got += (size_t)more;
  }
  close(fd);
  return got > 2 ? text_of(d + 2, got - 2, 0) : "silence";
}

/* ---------------------------------------------------------------- the process */

static bool read_file(const char *path, char *out, size_t size) {
  FILE *f = fopen(path, "re");
  size_t n = f ? fread(out, 1, size - 1, f) : 0;
  if (f)
    fclose(f);
  out[n] = 0;
  return f != NULL;
}

/* The resolver of this test: the one whose program is ours and whose parent is none, in our network namespace. */
static pid_t resolver_pid(void) {
  DIR *dir = opendir("/proc");
  pid_t found = 0;
  char path[300], link[4096], own[128], theirs[128];
  ssize_t n = readlink("/proc/thread-self/ns/net", own, sizeof own - 1);
  own[n > 0 ? n : 0] = 0;
  for (struct dirent *e; (e = readdir(dir));) {
    pid_t pid = atoi(e->d_name);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t len = pid > 0 ? readlink(path, link, sizeof link - 1) : -1;
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    ssize_t ns = pid > 0 ? readlink(path, theirs, sizeof theirs - 1) : -1;
    if (len < 0 || ns < 0)
      continue;
    link[len] = theirs[ns] = 0;
    if (strstr(link, "berth-resolver") && strcmp(own, theirs) == 0)
      found = pid;
  }
  closedir(dir);
  return found;
}

static bool gone(pid_t pid) {
  for (int i = 0; i < 300 && kill(pid, 0) == 0; i++)
    poll(NULL, 0, 10);
  return kill(pid, 0) != 0;
}

static bool reopen(void) {
  ro_networks_forget(root);
  why = (struct ro_why){0};
  nets = ro_networks_at(root, NULL, &why);
  if (nets)
    ro_networks_resolver(nets, root, programs, NULL);
  return nets != NULL;
}

/* ---------------------------------------------------------------- tests */

/* Answers what comes to the upstream server: the address given, TTL 60; with tc only that it does not fit. Says what was asked. */
static const char *serve(int fd, const char *address, bool tc) {
  static char name[256];
  uint8_t d[1024];
  struct sockaddr_storage from;
  socklen_t len = sizeof from;
  struct rs_query q;
  if (!arrives(fd, 2500))
    return "nothing";
  ssize_t n = recvfrom(fd, d, sizeof d, 0, (struct sockaddr *)&from, &len);
  if (n < 0 || rs_query_read(d, (size_t)n, &q))
    return "no question";
  uint8_t out[1024];
  struct rs_out o;
  struct in_addr a;
  inet_pton(AF_INET, address, &a);
  rs_out_begin(&o, out, sizeof out, &q);
  o.full = tc;
  rs_out_record(&o, RS_ANSWER, NULL, 0, rs_a, 60, &a, 4);
  size_t end = rs_out_end(&o, &q, rs_noerror, false);
  uint16_t id = rs_get16(out);
  rs_put16(out, (unsigned)id ^ 1); /* a forgery comes first: it does not know the id */
  out[end - 12] ^= 0;
  sendto(fd, out, end, 0, (struct sockaddr *)&from, len);
  rs_put16(out, id);
  sendto(fd, out, end, 0, (struct sockaddr *)&from, len);
  snprintf(name, sizeof name, "%s", q.name);
  return name;
}

static void test_forward(const struct guest *g, const struct guest *shut) {
  int up = kit_listen(outside, SOCK_DGRAM, "192.0.2.9", 53);
  int fd = put(g, server_of(g), "www.example.com", true);
  is_str(serve(up, "198.51.100.7", false), "www.example.com", "what is not ours goes to the container's server");
  is_str(take(fd), "0 198.51.100.7", "and its answer comes back, a forgery does not");
  is_str(ask(g, "WWW.example.com"), "0 198.51.100.7", "the second time it is known");
  ok(!arrives(up, 50), "and nobody is asked");
  int twice[2] = {put(g, server_of(g), "two.example.com", true), put(g, server_of(g), "two.example.com", false)};
  is_str(serve(up, "198.51.100.8", false), "two.example.com", "two ask the same");
  ok(!arrives(up, 50), "and one question goes out");
  is_str(take(twice[0]), "0 198.51.100.8", "both get it");
  is_str(take(twice[1]), "0 198.51.100.8", "the one without EDNS as well");
  is_str(ask(shut, "www.example.com"), "5", "an internal network is told nothing of the outside");
  fd = put(g, server_of(g), "large.example.com", true);
  int stream = kit_listen(outside, SOCK_STREAM, "192.0.2.9", 53);
  serve(up, "198.51.100.9", true);
  ok(arrives(stream, 2500), "where it does not fit it is asked for over TCP");
  int c = accept(stream, NULL, NULL);
  uint8_t d[600];
  struct rs_query q;
  struct rs_out o;
  ssize_t n = arrives(c, 2500) ? recv(c, d, sizeof d, 0) : 0;
  ok(n > 2 && rs_query_read(d + 2, (size_t)n - 2, &q) == 0, "a question");
  uint8_t out[600];
  rs_out_begin(&o, out + 2, 512, &q);
  rs_out_record(&o, RS_ANSWER, NULL, 0, rs_a, 60, "\xc6\x33\x64\x09", 4);
  size_t end = rs_out_end(&o, &q, rs_noerror, false);
  rs_put16(out, (unsigned)end);
  ok(send(c, out, end + 2, 0) == (ssize_t)end + 2, "and an answer");
  is_str(take(fd), "0 198.51.100.9", "which comes through");
  close(c), close(stream), close(up);
}

static void test_life(const struct guest *g) {
  pid_t pid = resolver_pid();
  char status[4096], path[64];
  ok(pid > 0, "it runs");
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  ok(read_file(path, status, sizeof status) && strstr(status, "Uid:\t65534\t65534") && strstr(status, "CapEff:\t0000000000000000") && strstr(status, "NoNewPrivs:\t1"), "without any right");
  ok(reopen(), "the server is killed and comes back %s", why.text);
  ok(resolver_pid() == pid, "it is the same");
  ok(strlen(ask(g, "web")) == 21, "and answers");
  kill(pid, SIGKILL);
  ok(gone(pid), "it is killed");
  is_int(ro_networks_mend(nets, &why), 0, "that is seen");
  ok(resolver_pid() > 0 && resolver_pid() != pid, "and another one is there");
  ok(strcmp(ask(g, "web"), "silence") != 0, "which answers the same");
}

/* Whatever comes, it goes on. */
static void test_noise(const struct guest *g) {
  unsigned seed = 12345;
  int fd = kit_connect(g->ns, SOCK_DGRAM, server_of(g), 53, 500);
  for (int i = 0; i < 3000; i++) {
    uint8_t d[600];
    size_t n = question(d, "web.shop.prod.berth", rs_a, true), cut = (size_t)rand_r(&seed) % 600;
    for (int k = rand_r(&seed) % 8; k >= 0; k--)
      d[(size_t)rand_r(&seed) % n] = (uint8_t)rand_r(&seed);
    send(fd, d, cut < n ? cut : n, MSG_DONTWAIT);
  }
  close(fd);
  const char *said = ask(g, "shopfront");
  for (int i = 0; i < 2 && strcmp(said, "silence") == 0; i++) /* one that comes while the queue is full is lost */
    said = ask(g, "shopfront");
  is_str(said, "0 10.89.0.2", "after 3,000 broken packets it answers");
}

int main(void) {
  struct guest a = {0}, b = {0}, c = {0};
  if (!kit_leave())
    return skip_all("no network namespace may be made here");
  const char *build = getenv("top_builddir");
  if (!realpath(build ? build : ".", programs) || strlen(programs) > 4000 || !mkdtemp(root) || chmod(root, 0711))
    return skip_all("no folder");
  strcat(programs, "/plugins/runtime-oci");
  int nl = ro_nl_open(&why);
  struct ro_link l = {.name = "eth0", .host = "uplink", .addresses = {"192.0.2.9/24"}, .naddresses = 1};
  ro_link_lo(nl, &why);
  ro_link_enter(&l, 1, &outside, &why);
  kit_go(kit_host_ns);
  if (system("ip addr add 192.0.2.1/24 dev uplink"))
    return skip_all("the host has no ip");
  ok(reopen() && resolver_pid() == 0, "without networks there is none %s", why.text);
  ok(ensure("front", "{}") && ensure("dark", "{\"internal\": true}"), "networks %s", why.text);
  ok(start(&a, "web-1", "web", "[{\"name\": \"front\", \"aliases\": [\"shopfront\"]}]", "192.0.2.9") && start(&b, "web-2", "web", "[{\"name\": \"front\"}]", NULL) &&
         start(&c, "db-1", "db", "[{\"name\": \"dark\"}]", NULL),
     "containers %s", why.text);
  is_str(json_string_value(json_array_get(pu_arr(a.net, "resolvers"), 0)), "10.89.0.1", "they are told of it");
  is_str(ask(&a, "shopfront"), "0 10.89.0.2", "an alias");
  ask(&a, "web");
  is_str(ask_stream(&a, "web.shop.prod.berth"), "0 10.89.0.2 10.89.0.3", "a service over TCP, by its long name");
  is_str(ask(&a, "db.shop.prod.berth"), "3", "one of another network");
  is_str(ask(&c, "db"), "0 10.89.1.2", "who is there is answered");
  ro_networks_ready(nets, b.id, false);
  is_str(ask(&a, "web"), "0 10.89.0.2", "one that is not ready is left out");
  ro_networks_ready(nets, b.id, true);
  test_forward(&a, &c);
  test_noise(&a);
  ask(&a, "web");
  test_life(&a);
  ro_networks_down(nets, b.id);
  is_str(ask(&a, "web"), "0 10.89.0.2", "one that ended is told of no more");
  stop(&a), stop(&b), stop(&c);
  pid_t pid = resolver_pid();
  ok(ro_networks_remove(nets, "front", &why) == 0 && ro_networks_remove(nets, "dark", &why) == 0, "networks go %s", why.text);
  ok(pid > 0 && gone(pid), "and it goes with the last one");
  ro_networks_forget(root);
  PU_AUTO_FREE rm = pu_asprintf("rm -rf %s", root);
  ok(system(rm) == 0, "all is put away");
  close(nl), close(outside), close(kit_host_ns);
  return done_testing();
}
