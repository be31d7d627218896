/* The HTTP server over real sockets on loopback: what it refuses, order, pieces, late answers, connections taken over, unix sockets.
 * Who is slow, or comes in crowds, is in test_http_crowd.c. */
#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "httpd_kit.h"

static char dir[] = "/tmp/berth-httpd-XXXXXX";
static char *sock_path;

static void test_malformed(void) {
  static const struct {
    const char *name, *data;
    size_t len;
  } t[] = {
      {"Content-Length with Transfer-Encoding", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
      {"Transfer-Encoding with Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")},
      {"two Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na")},
      {"two equal Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na")},
      {"a Content-Length list", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na")},
      {"obs-fold", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n")},
      {"obs-fold with a tab", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc: d\r\n\r\n")},
      {"a bare LF after the request line", RQ("GET / HTTP/1.1\nHost: x\r\n\r\n")},
      {"a bare LF after a header", RQ("GET / HTTP/1.1\r\nHost: x\n\r\n")},
      {"a bare LF as the empty line", RQ("GET / HTTP/1.1\r\nHost: x\r\n\n")},
      {"a bare CR in a value", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n")},
      {"chunk size 0x3", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n")},
      {"chunk size +3", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n")},
      {"chunk size -3", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n")},
      {"a bare LF after a chunk size", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n")},
      {"a bare LF after a chunk", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n")},
      {"a chunk longer than its size", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n")},
      {"a trailer", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHost: y\r\n\r\n")},
      {"Content-Length +3", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc")},
      {"Content-Length 0x3", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc")},
      {"Content-Length -1", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabc")},
      {"an empty Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc")},
      {"an overflowing Content-Length", RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\nabc")},
      {"Transfer-Encoding: gzip, chunked", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")},
      {"Transfer-Encoding: xchunked", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")},
      {"two Transfer-Encodings", RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
      {"Transfer-Encoding in HTTP/1.0", RQ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
      {"no Host", RQ("GET / HTTP/1.1\r\nA: b\r\n\r\n")},
      {"two Hosts", RQ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n")},
      {"a Host that is none", RQ("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n")},
      {"a space before the colon", RQ("GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n")},
      {"a header without colon", RQ("GET / HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n")},
      {"a header without name", RQ("GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n")},
      {"NUL in a value", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n")},
      {"NUL in a name", RQ("GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n")},
      {"a control character in a value", RQ("GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n")},
      {"NUL in the path", RQ("GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"a dot segment", RQ("GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"an escaped dot segment", RQ("GET /a/%2e%2e/b HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"an escaped slash", RQ("GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"a broken escape", RQ("GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"HTTP/0.9", RQ("GET /\r\n\r\n")},
      {"no method that is one", RQ("G@T / HTTP/1.1\r\nHost: x\r\n\r\n")},
      {"the preface of HTTP/2", RQ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
      {"a TLS hello", RQ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n")},
  };
  for (size_t i = 0; i < BT_COUNT(t); i++) {
    BT_AUTO_FREE char *answer = talk(t[i].data, t[i].len);
    const char *second = strstr(answer, "\r\nDate: ");
    second = second ? strstr(second + 1, "\r\nDate: ") : NULL;
    if (!ok(status_of(answer) == 400 && !second && strstr(answer, "Connection: close"), "400 and close: %s", t[i].name))
      printf("# %.60s\n", answer);
  }
}

static void test_limits(void) {
  BT_AUTO_BUF rq = {0};
  bt_buf_adds(&rq, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
  for (int i = 0; i < 17000; i++)
    bt_buf_addc(&rq, 'a');
  BT_AUTO_FREE char *a = talk(rq.data, rq.len);
  is_int(status_of(a), 431, "a head over 16 KB, also before it ends");
  bt_buf_truncate(&rq, 0);
  bt_buf_adds(&rq, "GET / HTTP/1.1\r\nHost: x\r\n");
  for (int i = 0; i < 100; i++)
    bt_buf_addf(&rq, "a%d: b\r\n", i);
  bt_buf_adds(&rq, "\r\n");
  BT_AUTO_FREE char *b = talk(rq.data, rq.len);
  is_int(status_of(b), 431, "more than 100 headers");
  BT_AUTO_FREE char *c = talk(RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3145729\r\n\r\n"));
  is_int(status_of(c), 413, "a body over 3 MB is refused before it comes");
  BT_AUTO_FREE char *d = talk(RQ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n300001\r\n"));
  is_int(status_of(d), 413, "a chunk over 3 MB as well");
  bt_buf_truncate(&rq, 0);
  bt_buf_adds(&rq, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  char kb[1025];
  memset(kb, 'x', 1024);
  kb[1024] = 0;
  for (int i = 0; i < 3073; i++)
    bt_buf_addf(&rq, "400\r\n%s\r\n", kb);
  struct client cl = dial();
  fcntl(cl.fd, F_SETFL, O_NONBLOCK);
  for (size_t at = 0; at < rq.len && !cl.closed;) {
    ssize_t n = send(cl.fd, rq.data + at, BT_MIN(rq.len - at, 65536), MSG_NOSIGNAL);
    if (n > 0)
      at += (size_t)n;
    else
      run_for(1);
  }
  is_int(status_of(hear(&cl, 0)), 413, "and many chunks that add up");
  hang_up(&cl);
  BT_AUTO_FREE char *e = talk(RQ("GET / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n"));
  is_int(status_of(e), 417, "an Expect that we do not know");
  BT_AUTO_FREE char *f = talk(RQ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"));
  is_int(status_of(f), 501, "CONNECT");
}

static void test_good(void) {
  BT_AUTO_FREE char *a = talk(RQ("GET /a%20b?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(status_of(a) == 200 && strstr(a, "\r\n\r\nGET /a b?x=1 []"), "a plain GET");
  ok(!strstr(a, "\nEvil"), "a header of ours cannot be split");
  BT_AUTO_FREE char *b = talk(RQ("GET / HTTP/1.0\r\n\r\n"));
  is_int(status_of(b), 200, "HTTP/1.0 without Host, closed after it");
  BT_AUTO_FREE char *c = talk(RQ("\r\nGET http://x/abs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(strstr(c, "GET /abs?"), "the absolute form, after an empty line");
  BT_AUTO_FREE char *d = talk(RQ("HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(status_of(d) == 200 && strstr(d, "Content-Length: 11\r\n") && bt_ends(d, "\r\n\r\n"), "HEAD: a length, no body");
  BT_AUTO_FREE char *e = talk(RQ("POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"));
  ok(strstr(e, "POST /c? [abcdefg]"), "a chunked body");
  BT_AUTO_FREE char *f = talk(RQ("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(strstr(f, "Transfer-Encoding: chunked\r\n") && bt_ends(f, "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "a chunked answer");
  BT_AUTO_FREE char *g = talk(RQ("GET /stream HTTP/1.0\r\n\r\n"));
  ok(bt_ends(g, "\r\n\r\nonetwo"), "HTTP/1.0 gets it plain");
  BT_AUTO_FREE char *h = talk(RQ("POST /forbidden HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
  ok(status_of(h) == 403, "refused by its head: no 100, no body");
}

static void test_continue(void) {
  struct client c = dial();
  say(&c, RQ("POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"));
  is_str(hear(&c, 25), "HTTP/1.1 100 Continue\r\n\r\n", "100 Continue");
  say(&c, "hello", 5);
  ok(strstr(hear(&c, 0), "POST /e? [hello]"), "then the body");
  hang_up(&c);
}

static void test_pieces_and_pipeline(void) {
  static const char rq[] = "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                           "GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  BT_AUTO_FREE char *whole = talk(rq, sizeof rq - 1);
  const char *p1 = strstr(whole, "POST /1? [abc]"), *p2 = strstr(whole, "GET /2? []"), *p3 = strstr(whole, "3\r\ntwo"),
             *p4 = strstr(whole, "GET /3? []");
  ok(p1 && p2 > p1 && p3 > p2 && p4 > p3, "pipelined requests are answered in order");
  struct client c = dial();
  for (size_t i = 0; i < sizeof rq - 1; i++) {
    say(&c, rq + i, 1);
    if (i % 8 == 0)
      run_for(0);
  }
  char *pieces = bt_strdup(hear(&c, 0));
  for (char *d; (d = strstr(pieces, "Date: "));) /* may differ by a second */
    memset(d, '-', 35);
  for (char *d; (d = strstr(whole, "Date: "));)
    memset(d, '-', 35);
  is_str(pieces, whole, "byte by byte comes out the same");
  free(pieces);
  hang_up(&c);
}

static void test_late_answers(void) {
  struct client c = dial();
  say(&c, RQ("GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  run_for(5000);
  run_for(20);
  ok(held && c.got.len == 0, "an answer may come later, the next request waits");
  bt_reply(held, 200, "text/plain", "late", 4);
  const char *a = hear(&c, 0);
  const char *p = strstr(a, "late");
  ok(p && strstr(p, "GET /after? []"), "and goes on then");
  hang_up(&c);
  c = dial();
  held = NULL;
  gone = 0;
  say(&c, RQ("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
  run_for(5000);
  struct linger lg = {1, 0};
  setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg); /* a reset */
  hang_up(&c);
  run_for(50);
  is_int(gone, 1, "a client that goes away is told of");
  bt_reply(held, 200, "text/plain", "x", 1);
  ok(true, "and may still be answered");
  c = dial();
  say(&c, RQ("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
  shutdown(c.fd, SHUT_WR);
  run_for(5000);
  run_for(20);
  bt_reply(held, 200, "text/plain", "half", 4);
  ok(strstr(hear(&c, 0), "half") && c.closed, "a half-closed client gets its answer");
  hang_up(&c);
}

static void test_raw(void) {
  struct client c = dial();
  say(&c, RQ("GET /raw HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\nearly "));
  run_for(20);
  say(&c, RQ("late!"));
  const char *a = hear(&c, 0);
  ok(status_of(a) == 101 && bt_ends(a, "\r\n\r\nearly late!") && c.closed, "a connection taken over");
  hang_up(&c);
  BT_AUTO_FREE char *b = talk(RQ("GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
                                 "GET /y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(strstr(b, "GET /x? []") && strstr(b, "GET /y? []"), "an upgrade that nobody takes up is a plain request");
}

static int unix_dial(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s", sock_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&un, sizeof un) == 0)
    return fd;
  close(fd);
  return -1;
}

static void test_unix(void) {
  BT_AUTO_ERR err = NULL;
  is_int(bt_httpd_listen_unix(httpd, sock_path, 0640, NULL, &err), 0, "a unix socket");
  struct stat st;
  ok(stat(sock_path, &st) == 0 && (st.st_mode & 0777) == 0640, "with its mode");
  struct client c = {.fd = unix_dial()};
  say(&c, RQ("GET /u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  ok(strstr(hear(&c, 0), "GET /u? []"), "answers");
  hang_up(&c);
  struct bt_httpd *second = bt_httpd_new(&(struct bt_httpd_options){.loop = loop, .on_request = on_request});
  is_int(bt_httpd_listen_unix(second, sock_path, 0600, NULL, &err), -1, "a socket in use is not taken");
  is_int(bt_err_code(err), BT_CONFLICT, "conflict");
  bt_err_free(&err);
  bt_httpd_free(&httpd);
  ok(access(sock_path, F_OK) < 0, "the file goes with the server");
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s", sock_path);
  int stale = socket(AF_UNIX, SOCK_STREAM, 0);
  ok(bind(stale, (struct sockaddr *)&un, sizeof un) == 0 && close(stale) == 0, "a stale socket");
  is_int(bt_httpd_listen_unix(second, sock_path, 0600, NULL, &err), 0, "is replaced");
  bt_httpd_free(&second);
  int fd = open(sock_path, O_CREAT | O_WRONLY, 0600);
  close(fd);
  second = bt_httpd_new(&(struct bt_httpd_options){.loop = loop, .on_request = on_request});
  is_int(bt_httpd_listen_unix(second, sock_path, 0600, NULL, &err), -1, "a file that is no socket stays");
  ok(access(sock_path, F_OK) == 0, "it is there");
  bt_httpd_free(&second);
  unlink(sock_path);
  ok(bt_address_is_loopback("127.1.2.3:1") && bt_address_is_loopback("[::1]:1") && !bt_address_is_loopback("0.0.0.0:1") &&
         !bt_address_is_loopback("[::]:1") && !bt_address_is_loopback("localhost:1"),
     "which addresses are loopback");
}

int main(void) {
  ok(mkdtemp(dir) != NULL, "a folder");
  sock_path = bt_asprintf("%s/s", dir);
  loop = bt_loop_new();
  start((struct bt_httpd_options){0});
  test_malformed();
  test_limits();
  test_good();
  test_continue();
  test_pieces_and_pipeline();
  test_late_answers();
  test_raw();
  test_unix();
  bt_httpd_free(&httpd);
  bt_loop_free(&loop);
  rmdir(dir);
  free(sock_path);
  return done_testing();
}
