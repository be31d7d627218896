/* The HTTP client against a server of the test's own: libevent's evhttp over TCP, a unix socket and TLS, and a raw
 * listener for upgrades. All in one thread on one loop. */
#include "config.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/http_client.h"
#include "loop/loop.h"
#include "tap.h"

static struct bt_loop *loop;
static struct bt_http *http;
static int port, tls_port, raw_port;
static char dir[] = "/tmp/berth-http-XXXXXX";
static char *sock_path, *cert_path;
static SSL_CTX *server_tls;

static void stop(void *arg) {
  (void)arg;
  bt_loop_stop(loop);
}

static void run(void) {
  struct bt_timer *guard = bt_timer_new(loop, "guard", stop, NULL);
  bt_timer_set(guard, 10000);
  bt_loop_run(loop);
  bt_timer_free(&guard);
}

/* ---------------------------------------------------------------- the server */

static void reply(struct evhttp_request *rq, int status, const char *body, size_t len) {
  struct evbuffer *b = evbuffer_new();
  evbuffer_add(b, body, len);
  evhttp_send_reply(rq, status, NULL, b);
  evbuffer_free(b);
}

static void redirect(struct evhttp_request *rq, int status, const char *to) {
  evhttp_add_header(evhttp_request_get_output_headers(rq), "Location", to);
  reply(rq, status, "elsewhere", 9);
}

static void echo(struct evhttp_request *rq) {
  static const struct {
    enum evhttp_cmd_type cmd;
    const char *name;
  } names[] = {{EVHTTP_REQ_GET, "GET"}, {EVHTTP_REQ_POST, "POST"}, {EVHTTP_REQ_PUT, "PUT"}, {EVHTTP_REQ_DELETE, "DELETE"}};
  struct evkeyvalq *in = evhttp_request_get_input_headers(rq);
  const char *auth = evhttp_find_header(in, "Authorization"), *type = evhttp_find_header(in, "Content-Type");
  struct evbuffer *body = evhttp_request_get_input_buffer(rq), *out = evbuffer_new();
  const char *name = "?";
  for (size_t i = 0; i < BT_COUNT(names); i++)
    if (names[i].cmd == evhttp_request_get_command(rq))
      name = names[i].name;
  evbuffer_add_printf(out, "%s auth=%s type=%s body=", name, auth ? auth : "-", type ? type : "-");
  evbuffer_add_buffer(out, body);
  evhttp_add_header(evhttp_request_get_output_headers(rq), "X-Mixed-Case", "Yes");
  evhttp_send_reply(rq, 200, NULL, out);
  evbuffer_free(out);
}

static void on_request(struct evhttp_request *rq, void *arg) {
  (void)arg;
  const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(rq));
  char text[64];
  if (bt_streq(path, "/echo")) {
    echo(rq);
  } else if (bt_streq(path, "/big")) {
    BT_AUTO_FREE char *data = bt_calloc(1, 1000000);
    memset(data, 'x', 1000000);
    reply(rq, 200, data, 1000000);
  } else if (bt_streq(path, "/r302")) {
    redirect(rq, 302, "/echo");
  } else if (bt_streq(path, "/r307")) {
    redirect(rq, 307, "/echo");
  } else if (bt_streq(path, "/loop")) {
    redirect(rq, 302, "/loop");
  } else if (bt_streq(path, "/other")) {
    snprintf(text, sizeof text, "http://localhost:%d/echo", port);
    redirect(rq, 302, text);
  } else if (bt_streq(path, "/down")) {
    snprintf(text, sizeof text, "http://127.0.0.1:%d/echo", port);
    redirect(rq, 302, text);
  } else if (!bt_streq(path, "/hang")) {
    reply(rq, 404, "nothing", 7);
  }
}

static struct evhttp *servers[3];

static int listen_on(struct evhttp *h) {
  struct evhttp_bound_socket *s = evhttp_bind_socket_with_handle(h, "127.0.0.1", 0);
  struct sockaddr_in in;
  socklen_t len = sizeof in;
  getsockname(evhttp_bound_socket_get_fd(s), (struct sockaddr *)&in, &len);
  return ntohs(in.sin_port);
}

static struct evhttp *server(void) {
  struct evhttp *h = evhttp_new(bt_loop_base(loop));
  evhttp_set_gencb(h, on_request, NULL);
  evhttp_set_allowed_methods(h, 0xffff);
  return h;
}

static struct bufferevent *tls_bev(struct event_base *base, void *arg) {
  return bufferevent_openssl_socket_new(base, -1, SSL_new(arg), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static void make_cert(void) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x = X509_new();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -60);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(x));
  X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
  X509_add_ext(x, san, -1);
  X509_EXTENSION_free(san);
  X509_sign(x, key, EVP_sha256());
  server_tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(server_tls, x);
  SSL_CTX_use_PrivateKey(server_tls, key);
  FILE *f = fopen(cert_path, "w");
  PEM_write_X509(f, x);
  fclose(f);
  X509_free(x);
  EVP_PKEY_free(key);
}

static void raw_say(struct bufferevent *bev, const char *text) { bufferevent_write(bev, text, strlen(text)); }

/* The raw listener: reads a head, then answers after its path; after an upgrade it echoes until end of input, says "bye". */
static void raw_read(struct bufferevent *bev, void *arg) {
  struct evbuffer *in = bufferevent_get_input(bev);
  bool *open = arg;
  if (*open) {
    bufferevent_write_buffer(bev, in);
    return;
  }
  size_t len = evbuffer_get_length(in);
  BT_AUTO_FREE char *head = bt_strndup((char *)evbuffer_pullup(in, -1), len);
  if (!strstr(head, "\r\n\r\n"))
    return;
  evbuffer_drain(in, len);
  if (bt_starts(head, "POST /hijack ")) {
    raw_say(bev, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nearly ");
    *open = true;
  } else if (bt_starts(head, "GET /ws ")) {
    raw_say(bev, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
    *open = true;
  } else if (bt_starts(head, "GET /refuse ")) {
    raw_say(bev, "HTTP/1.1 409 Conflict\r\nContent-Length: 4\r\n\r\nbusy");
  } else {
    raw_say(bev, "garbage\r\n\r\n");
  }
}

static void raw_event(struct bufferevent *bev, short what, void *arg) {
  bool *open = arg;
  if (what & BEV_EVENT_CONNECTED) /* the TLS handshake */
    return;
  if ((what & BEV_EVENT_EOF) && *open) {
    *open = false;
    raw_say(bev, "bye");
    bufferevent_disable(bev, EV_READ);
    return;
  }
  free(open);
  bufferevent_free(bev);
}

static void raw_written(struct bufferevent *bev, void *arg) {
  bool *open = arg;
  if (*open || bufferevent_get_enabled(bev) & EV_READ)
    return;
  SSL *ssl = bufferevent_openssl_get_ssl(bev);
  if (ssl)
    SSL_shutdown(ssl); /* a TLS end without close_notify is an error, and rightly */
  free(open);
  bufferevent_free(bev);
}

static void raw_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg) {
  (void)l;
  (void)sa;
  (void)len;
  struct event_base *base = bt_loop_base(loop);
  struct bufferevent *bev =
      arg ? bufferevent_openssl_socket_new(base, fd, SSL_new(server_tls), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
          : bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(bev, raw_read, raw_written, raw_event, bt_new(bool));
  bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static struct evconnlistener *raw_listen(int *out_port, void *tls) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct evconnlistener *l = evconnlistener_new_bind(bt_loop_base(loop), raw_accept, tls, LEV_OPT_CLOSE_ON_FREE, 16,
                                                     (struct sockaddr *)&in, sizeof in);
  socklen_t len = sizeof in;
  getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&in, &len);
  *out_port = ntohs(in.sin_port);
  return l;
}

static int unix_listen(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s", sock_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0 || listen(fd, 16) < 0)
    abort();
  return fd;
}

/* ---------------------------------------------------------------- requests */

struct result {
  int done, heads, status;
  enum bt_code code;
  char message[256];
  char body[512];
  size_t body_len;
  struct bt_http_call *call;
  bool saw_mixed, pause_each;
  int pieces, sends;
  size_t streamed;
};

static void on_done(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t len) {
  struct result *r = arg;
  r->done++;
  r->code = code;
  r->status = status;
  r->body_len = len;
  snprintf(r->message, sizeof r->message, "%s", message);
  snprintf(r->body, sizeof r->body, "%.*s", (int)BT_MIN(len, 500), body);
  bt_loop_stop(loop);
}

static void on_head(void *arg, int status, const struct bt_http_pair *h, size_t n) {
  struct result *r = arg;
  r->heads++;
  r->status = status;
  for (size_t i = 0; i < n; i++)
    r->saw_mixed |= bt_streq(h[i].name, "x-mixed-case") && bt_streq(h[i].value, "Yes");
}

static struct bt_http_call *begin(struct result *r, const char *path, struct bt_http_request rq) {
  BT_AUTO_FREE char *url = bt_asprintf("http://127.0.0.1:%d%s", port, path);
  if (!rq.url)
    rq.url = url;
  rq.done = on_done;
  rq.arg = r;
  r->call = bt_http_request(http, &rq);
  return r->call;
}

static struct result fetch(const char *path, struct bt_http_request rq) {
  struct result r = {0};
  begin(&r, path, rq);
  run();
  return r;
}

static void test_plain(void) {
  struct result r = {0};
  begin(&r, "/echo", (struct bt_http_request){.on_head = on_head});
  run();
  is_int(r.code, BT_OK, "GET");
  is_str(r.body, "GET auth=- type=- body=", "reached the server");
  ok(r.heads == 1 && r.saw_mixed, "header names come in lower case");
  r = fetch("/echo", (struct bt_http_request){.method = "POST", .body = "hello", .body_len = 5});
  is_str(r.body, "POST auth=- type=- body=hello", "POST with a body, no content type of curl's own");
  r = fetch("/echo", (struct bt_http_request){.method = "POST"});
  is_str(r.body, "POST auth=- type=- body=", "POST without a body");
  r = fetch("/none", (struct bt_http_request){0});
  ok(r.code == BT_OK && r.status == 404, "a 404 is an answer");
  r = fetch("/echo", (struct bt_http_request){.method = "HEAD"});
  ok(r.code == BT_OK && r.status == 200 && r.body_len == 0, "HEAD");
  r = fetch("/echo", (struct bt_http_request){.unix_socket = sock_path, .method = "DELETE"});
  is_str(r.body, "DELETE auth=- type=- body=", "over a unix socket");
}

static void test_failures(void) {
  struct result r = fetch("/big", (struct bt_http_request){.max_body = 1000});
  is_int(r.code, BT_TOO_LARGE, "an answer over max_body");
  r = fetch("/hang?token=x", (struct bt_http_request){.timeout_ms = 100});
  is_int(r.code, BT_DEADLINE, "a deadline");
  ok(strstr(r.message, "/hang") && !strstr(r.message, "token"), "the sentence names the address without its query");
  r = fetch("", (struct bt_http_request){.url = "http://127.0.0.1:1/"});
  is_int(r.code, BT_UNAVAILABLE, "nobody listens");
  r = fetch("", (struct bt_http_request){.url = "file:///etc/passwd"});
  is_int(r.code, BT_INVALID, "only http and https");
  r = fetch("", (struct bt_http_request){.url = ""});
  is_int(r.code, BT_INVALID, "no URL at all");
  const struct bt_http_pair bad = {"X", "a\r\nY: b"};
  r = fetch("/echo", (struct bt_http_request){.headers = &bad, .nheaders = 1});
  is_int(r.code, BT_INVALID, "no line break in a header");
  struct result c = {0};
  bt_http_cancel(begin(&c, "/hang", (struct bt_http_request){0}));
  is_int(c.done, 0, "done does not come from inside cancel");
  run();
  ok(c.done == 1 && c.code == BT_CANCELLED, "but after it");
}

static void test_redirects(void) {
  const struct bt_http_pair auth = {"Authorization", "Bearer x"};
  struct result r = fetch("/r302", (struct bt_http_request){.headers = &auth, .nheaders = 1});
  is_int(r.status, 302, "not followed unless asked");
  struct bt_http_request rq = {.headers = &auth, .nheaders = 1, .follow_redirects = true, .on_head = on_head};
  r = (struct result){0};
  begin(&r, "/r302", rq);
  run();
  is_str(r.body, "GET auth=Bearer x type=- body=", "same host: credentials go along");
  is_int(r.heads, 1, "one head for the caller");
  rq.method = "POST";
  rq.body = "b";
  rq.body_len = 1;
  r = fetch("/r302", rq);
  is_str(r.body, "GET auth=Bearer x type=- body=", "302 makes POST a GET");
  r = fetch("/r307", rq);
  is_str(r.body, "POST auth=Bearer x type=- body=b", "307 does not");
  rq.method = "GET";
  rq.body = NULL;
  r = fetch("/other", rq);
  is_str(r.body, "GET auth=- type=- body=", "another host gets no credentials");
  r = fetch("/loop", rq);
  is_int(r.code, BT_UNAVAILABLE, "a loop ends");
  BT_AUTO_FREE char *url = bt_asprintf("https://127.0.0.1:%d/down", tls_port);
  rq.url = url;
  rq.tls_ca_file = cert_path;
  r = fetch("", rq);
  ok(r.code == BT_UNAVAILABLE && strstr(r.message, "unprotected"), "never from https to http");
}

static void test_tls(void) {
  BT_AUTO_FREE char *url = bt_asprintf("https://127.0.0.1:%d/echo", tls_port);
  struct result r = fetch("", (struct bt_http_request){.url = url, .tls_ca_file = cert_path});
  is_int(r.code, BT_OK, "TLS with its CA");
  r = fetch("", (struct bt_http_request){.url = url});
  is_int(r.code, BT_UNAVAILABLE, "without it the server is refused");
  r = fetch("", (struct bt_http_request){.url = url, .tls_insecure = true});
  is_int(r.code, BT_OK, "unless verification is off");
  BT_AUTO_FREE char *name = bt_asprintf("https://localhost:%d/echo", tls_port);
  r = fetch("", (struct bt_http_request){.url = name, .tls_ca_file = cert_path});
  is_int(r.code, BT_UNAVAILABLE, "the name must match");
}

/* ---------------------------------------------------------------- streams */

static void resume(void *arg) {
  struct result *r = arg;
  if (!r->done)
    bt_http_resume(r->call);
}

static struct bt_timer *resume_timer;

static bool on_data(void *arg, const void *data, size_t len) {
  (void)data;
  struct result *r = arg;
  r->pieces++;
  r->streamed += len;
  if (r->pieces % 10)
    return true;
  bt_timer_set(resume_timer, 5);
  return false;
}

static ssize_t send_body(void *arg, void *buf, size_t room) {
  struct result *r = arg;
  (void)room;
  int n = r->sends++;
  if (n == 1) {
    bt_timer_set(resume_timer, 5);
    return -1;
  }
  if (n > 3)
    return 0;
  memcpy(buf, "part ", 5);
  return 5;
}

static ssize_t abort_body(void *arg, void *buf, size_t room) {
  (void)arg;
  (void)buf;
  (void)room;
  return -2;
}

static void test_streams(void) {
  struct result r = {0};
  resume_timer = bt_timer_new(loop, "resume", resume, &r);
  begin(&r, "/big", (struct bt_http_request){.on_data = on_data});
  run();
  is_int(r.code, BT_OK, "a streamed body with pauses");
  is_int(r.streamed, 1000000, "comes whole");
  ok(r.pieces > 10, "in pieces");
  r = (struct result){0};
  begin(&r, "/echo", (struct bt_http_request){.method = "PUT", .read_body = send_body});
  run();
  is_str(r.body, "PUT auth=- type=- body=part part part ", "a body of unknown length, with a pause");
  r = fetch("/echo", (struct bt_http_request){.method = "POST", .read_body = abort_body});
  is_int(r.code, BT_CANCELLED, "the sender may give up");
  bt_timer_free(&resume_timer);
}

static bool nested_data(void *arg, const void *data, size_t len) {
  (void)data;
  (void)len;
  struct result *r = arg;
  if (r->pieces++ == 0) /* a request from inside curl's callback */
    begin(r + 1, "/echo", (struct bt_http_request){0});
  return true;
}

static void test_nested(void) {
  struct result r[2] = {{0}, {0}};
  begin(&r[0], "/big", (struct bt_http_request){.on_data = nested_data});
  while (!(r[0].done && r[1].done)) {
    int before = r[0].done + r[1].done;
    run();
    if (r[0].done + r[1].done == before)
      break;
  }
  ok(r[0].code == BT_OK && r[1].code == BT_OK && r[1].body_len > 0, "a callback may start another request");
}

/* ---------------------------------------------------------------- a resolver that takes its time */

/* In place of the C library's, for libcurl: names that begin with "slow" take a second. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                                                       struct addrinfo **res) {
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (bt_starts(node, "slow")) {
    sleep(1);
    return EAI_AGAIN;
  }
  if (!real)
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  return real(node, service, hints, res);
}

static void test_slow_resolver(void) {
  struct bt_loop_stats st;
  bt_loop_stats_reset(loop);
  struct result r = fetch("", (struct bt_http_request){.url = "http://slow.test/", .timeout_ms = 200});
  is_int(r.code, BT_DEADLINE, "a name that takes too long to resolve");
  struct result c = {0};
  bt_http_cancel(begin(&c, "", (struct bt_http_request){.url = "http://slow.test/"}));
  run();
  is_int(c.code, BT_CANCELLED, "or that is given up");
  bt_loop_stats(loop, &st);
  ok(st.worst_us < 700000, "does not hold the loop until the resolver is through (%lld ms)", (long long)st.worst_us / 1000);
  sleep(1); /* its threads end by themselves: let them, before leaks are looked for */
}

/* ---------------------------------------------------------------- tunnels */

struct tun {
  struct bt_http_tunnel *t;
  int opens, closes, status;
  bool ok;
  enum bt_code code;
  struct bt_buf data, body;
};

static void tun_open(void *arg, bool is_ok, int status, const char *body, size_t len) {
  struct tun *u = arg;
  u->opens++;
  u->ok = is_ok;
  u->status = status;
  bt_buf_add(&u->body, body, len);
  if (!is_ok)
    return;
  bt_http_tunnel_write(u->t, "ping", 4);
  bt_http_tunnel_close_write(u->t);
}

static void tun_data(void *arg, const void *data, size_t len) { bt_buf_add(&((struct tun *)arg)->data, data, len); }

static void tun_close(void *arg, enum bt_code code, const char *message) {
  struct tun *u = arg;
  u->closes++;
  u->code = code;
  if (code != BT_OK)
    printf("# closed: %s\n", message);
  bt_loop_stop(loop);
}

static struct tun tunnel(const char *url, const char *method) {
  const struct bt_http_pair h[] = {{"Connection", "Upgrade"}, {"Upgrade", "tcp"}};
  struct tun u = {0};
  struct bt_http_upgrade up = {.method = method, .url = url, .headers = h, .nheaders = 2, .tls_ca_file = cert_path,
                               .on_open = tun_open, .on_data = tun_data, .on_close = tun_close, .arg = &u};
  u.t = bt_http_upgrade(http, &up);
  run();
  return u;
}

static void tun_free(struct tun *u) {
  bt_buf_free(&u->data);
  bt_buf_free(&u->body);
}

static void test_tunnels(void) {
  struct {
    const char *scheme, *path, *method;
    bool ok;
    int opens, status;
    enum bt_code code;
    const char *data, *body;
  } t[] = {
      {"http", "/ws", "GET", true, 1, 101, BT_OK, "pingbye", ""},
      {"http", "/hijack", "POST", true, 1, 200, BT_OK, "early pingbye", ""},
      {"https", "/ws", "GET", true, 1, 101, BT_OK, "pingbye", ""},
      {"http", "/refuse", "GET", false, 1, 409, BT_CONFLICT, "", "busy"},
      {"https", "/localhost", "GET", false, 0, 0, BT_UNAVAILABLE, "", ""},
      {"http", "/garbage", "GET", false, 0, 0, BT_UNAVAILABLE, "", ""},
      {"ftp", "/", "GET", false, 0, 0, BT_INVALID, "", ""},
  };
  int raw_tls;
  struct evconnlistener *l = raw_listen(&raw_tls, server_tls);
  for (size_t i = 0; i < BT_COUNT(t); i++) {
    BT_AUTO_FREE char *url =
        bt_asprintf("%s://%s:%d%s", t[i].scheme, bt_streq(t[i].path, "/localhost") ? "localhost" : "127.0.0.1", bt_streq(t[i].scheme, "https") ? raw_tls : raw_port, t[i].path);
    struct tun u = tunnel(url, t[i].method);
    ok(u.opens == t[i].opens && u.ok == t[i].ok && u.status == t[i].status && u.closes == 1, "%s %s: the head",
       t[i].scheme, t[i].path);
    is_int(u.code, t[i].code, "how it ended");
    is_str(u.data.data ? u.data.data : "", t[i].data, "bytes both ways");
    is_str(u.body.data ? u.body.data : "", t[i].body, "the error's body");
    tun_free(&u);
  }
  evconnlistener_free(l);
  struct tun u = tunnel("http://127.0.0.1:1/", "GET");
  ok(u.closes == 1 && u.code == BT_UNAVAILABLE, "nobody listens");
}

static void test_shutdown(void) {
  struct result r = {0};
  struct tun u = {0};
  BT_AUTO_FREE char *url = bt_asprintf("http://127.0.0.1:%d/ws", raw_port);
  begin(&r, "/hang", (struct bt_http_request){0});
  u.t = bt_http_upgrade(http, &(struct bt_http_upgrade){.url = url, .on_close = tun_close, .arg = &u});
  bt_http_free(&http);
  ok(r.done == 1 && r.code == BT_CANCELLED, "closing the client cancels requests");
  ok(u.closes == 1 && u.code == BT_CANCELLED, "and tunnels");
}

int main(void) {
  ok(mkdtemp(dir) != NULL, "a folder");
  sock_path = bt_asprintf("%s/s", dir);
  cert_path = bt_asprintf("%s/cert.pem", dir);
  loop = bt_loop_new();
  http = bt_http_new(loop);
  make_cert();
  for (int i = 0; i < 3; i++)
    servers[i] = server();
  port = listen_on(servers[0]);
  evhttp_accept_socket(servers[1], unix_listen());
  evhttp_set_bevcb(servers[2], tls_bev, server_tls);
  tls_port = listen_on(servers[2]);
  struct evconnlistener *raw = raw_listen(&raw_port, NULL);
  test_plain();
  test_failures();
  test_redirects();
  test_tls();
  test_streams();
  test_nested();
  test_slow_resolver();
  test_tunnels();
  test_shutdown();
  for (int i = 0; i < 3; i++)
    evhttp_free(servers[i]);
  evconnlistener_free(raw);
  /* Let the server's side see the ends, so that nothing is left allocated. */
  struct bt_timer *t = bt_timer_new(loop, "last", stop, NULL);
  bt_timer_set(t, 50);
  bt_loop_run(loop);
  bt_timer_free(&t);
  bt_loop_free(&loop);
  SSL_CTX_free(server_tls);
  unlink(sock_path);
  unlink(cert_path);
  rmdir(dir);
  free(sock_path);
  free(cert_path);
  return done_testing();
}
