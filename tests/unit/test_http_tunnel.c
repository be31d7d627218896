/* Tunnels of the HTTP client: the upgrade, bytes both ways, half-closes, refusals; plain and over TLS. */
#include "config.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cert_kit.h"
#include "loop/http_client.h"
#include "loop_kit.h"
#include "tap.h"

static struct bt_http *http;
static int raw_port;
static char dir[] = "/tmp/berth-tunnel-XXXXXX";
static char *cert_path, *key_path;
static SSL_CTX *server_tls;

/* ---------------------------------------------------------------- the server */

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

/* ---------------------------------------------------------------- tests */

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
  u = tunnel("http://127.0.0.1:1/", "GET /other HTTP/1.1\r\n\r\nGET");
  ok(u.closes == 1 && u.code == BT_INVALID, "a method is one word");
}

static void test_shutdown(void) {
  struct tun u = {0};
  BT_AUTO_FREE char *url = bt_asprintf("http://127.0.0.1:%d/ws", raw_port);
  u.t = bt_http_upgrade(http, &(struct bt_http_upgrade){.url = url, .on_close = tun_close, .arg = &u});
  bt_http_free(&http);
  ok(u.closes == 1 && u.code == BT_CANCELLED, "closing the client cancels tunnels");
}

int main(void) {
  ok(mkdtemp(dir) != NULL, "a folder");
  cert_path = bt_asprintf("%s/cert.pem", dir);
  key_path = bt_asprintf("%s/key.pem", dir);
  make_cert(cert_path, key_path);
  server_tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate_file(server_tls, cert_path, SSL_FILETYPE_PEM);
  SSL_CTX_use_PrivateKey_file(server_tls, key_path, SSL_FILETYPE_PEM);
  loop = bt_loop_new();
  http = bt_http_new(loop);
  struct evconnlistener *raw = raw_listen(&raw_port, NULL);
  test_tunnels();
  test_shutdown();
  evconnlistener_free(raw);
  run_at_most(50); /* let the server's side see the ends, so that nothing is left allocated */
  bt_loop_free(&loop);
  SSL_CTX_free(server_tls);
  unlink(cert_path);
  unlink(key_path);
  rmdir(dir);
  free(cert_path);
  free(key_path);
  return done_testing();
}
