/* The HTTP server against who is slow and who comes in crowds: writers that wait for slow readers, deadlines, how many connections
 * there may be, and who makes room for a newcomer. */
#include "config.h"

#include <errno.h>

#include "base/clock.h"
#include "httpd_kit.h"

static void test_slow_reader(void) {
  struct client c = dial();
  setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){16384}, sizeof(int));
  drained = 0;
  say(&c, RQ("GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  run_for(100);
  size_t sent = 8 * 1024 * 1024 - big_left;
  ok(sent < 6 * 1024 * 1024 && big_left > 0, "a slow reader holds the writer back (%zu KB out)", sent / 1024);
  setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){1024 * 1024}, sizeof(int));
  hear(&c, 0);
  ok(c.got.len > 8 * 1024 * 1024 && bt_ends(c.got.data, "0\r\n\r\n"), "and gets all in the end, in %d steps", drained);
  hang_up(&c);
}

static void test_flood(void) {
  struct client c = dial();
  gone = 0;
  say(&c, RQ("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n"));
  for (int i = 0; i < 50 && !gone; i++)
    run_for(20);
  is_int(gone, 1, "a client for whom too much waits is dropped");
  ok(flood_waited < 18 * 1024 * 1024, "and no more than that is kept (%zu MB)", flood_waited >> 20);
  hang_up(&c);
}

static void test_deadlines(void) {
  bt_httpd_free(&httpd);
  start((struct bt_httpd_options){.head_ms = 150, .body_ms = 200, .idle_ms = 100, .write_ms = 200, .max_connections = 2});
  int64_t t0 = bt_clock_mono_ms();
  struct client c = dial();
  say(&c, RQ("GET / HTTP/1.1\r\nHost:"));
  run_for(100);
  say(&c, RQ(" x\r\n")); /* a trickle does not extend it */
  is_int(status_of(hear(&c, 0)), 408, "a head that does not end: 408");
  ok(bt_clock_mono_ms() - t0 < 2500, "in time");
  hang_up(&c);
  c = dial();
  say(&c, RQ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"));
  is_int(status_of(hear(&c, 0)), 408, "a body that does not end: 408");
  hang_up(&c);
  c = dial();
  is_str(hear(&c, 0), "", "a connection without a word is closed");
  ok(c.closed, "closed");
  hang_up(&c);
  c = dial();
  say(&c, RQ("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  ok(status_of(hear(&c, 0)) == 200 && c.closed, "an idle keep-alive connection is closed");
  hang_up(&c);
  c = dial();
  setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){16384}, sizeof(int));
  say(&c, RQ("GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  big_left = 1;
  size_t before = bt_httpd_connections(httpd);
  for (int i = 0; i < 40 && bt_httpd_connections(httpd) >= BT_MAX(before, 1); i++)
    run_for(50);
  is_int(bt_httpd_connections(httpd), 0, "a reader that takes nothing is dropped");
  hang_up(&c);
}

static void test_max_connections(void) {
  struct client a = dial(), b = dial(), c = dial();
  run_for(20);
  is_int(bt_httpd_connections(httpd), 2, "no more connections than allowed");
  say(&c, RQ("GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  hang_up(&a);
  ok(strstr(hear(&c, 0), "GET /c? []"), "the next one waits for a place");
  hang_up(&b);
  hang_up(&c);
}

static const char half[] = "GET /half HTTP/1.1\r\nHo", whole[] = "GET /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

static bool is_open(struct client *c) {
  char byte;
  ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return n > 0 || (n < 0 && errno == EAGAIN);
}

/* A newcomer's whole request is answered, and soon. */
static bool served(uint32_t from) {
  int64_t t0 = bt_clock_mono_ms();
  struct client c = dial_from(from);
  say(&c, whole, sizeof whole - 1);
  bool good = strstr(hear(&c, 0), "GET /whole? []") != NULL && bt_clock_mono_ms() - t0 < 2000;
  hang_up(&c);
  return good;
}

static void halves(struct client *c, size_t n, uint32_t from) {
  for (size_t i = 0; i < n; i++) {
    c[i] = dial_from(from);
    say(&c[i], half, sizeof half - 1);
    run_for(10); /* one after the other */
  }
}

static void test_half_open(void) {
  bt_httpd_free(&httpd);
  start((struct bt_httpd_options){.max_connections = 64, .grace_ms = 100});
  struct client c[64];
  halves(c, 64, 1);
  is_int(bt_httpd_connections(httpd), 64, "half-open connections fill the listener");
  ok(served(1), "a whole request is answered all the same");
  ok(!is_open(&c[0]) && is_open(&c[2]) && is_open(&c[63]), "for which the oldest of them goes");
  ok(served(1) && served(1), "and the next ones");
  for (size_t i = 0; i < 64; i++)
    hang_up(&c[i]);
  for (size_t i = 0; i < 64; i++) {
    c[i] = dial();
    say(&c[i], RQ("GET /raw HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  run_for(150);
  struct client late = dial();
  say(&late, whole, sizeof whole - 1);
  run_for(150);
  ok(bt_httpd_connections(httpd) == 64 && is_open(&c[0]) && is_open(&late), "who has a request in work stays; the next one waits");
  say(&c[5], "!", 1);
  ok(strstr(hear(&late, 0), "GET /whole? []"), "until one of them ends");
  hang_up(&late);
  for (size_t i = 0; i < 64; i++)
    say(&c[i], "!", 1);
  run_for(50);
  for (size_t i = 0; i < 64; i++)
    hang_up(&c[i]);
}

/* The head is whole, and then the body comes slowly; or the answer is not fetched. Only whom the application knows may do so. */
static void test_slow_bodies(void) {
  static const char stranger[] = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nx",
                    friend[] = "POST /known HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx";
  bt_httpd_free(&httpd);
  start((struct bt_httpd_options){.max_connections = 8, .grace_ms = 100});
  struct client c[8];
  for (size_t i = 0; i < 8; i++) {
    c[i] = dial();
    say(&c[i], i < 2 ? friend : stranger, i < 2 ? sizeof friend - 1 : sizeof stranger - 1);
    run_for(10);
  }
  run_for(120);
  ok(served(1), "a stranger whose body does not come makes room");
  ok(is_open(&c[0]) && is_open(&c[1]) && !is_open(&c[2]) && is_open(&c[3]), "the first one to have come; whoever is known stays");
  say(&c[0], "y", 1);
  ok(strstr(hear(&c[0], 4), "/known? [xy]"), "and gets an answer");
  for (size_t i = 0; i < 8; i++)
    hang_up(&c[i]);
  for (size_t i = 0; i < 8; i++) {
    c[i] = dial();
    say(&c[i], RQ("GET / HTTP/1.1\r\n\r\n")); /* a refusal, which lingers until we hang up */
  }
  run_for(120);
  ok(bt_httpd_connections(httpd) == 8 && served(1), "who has had a last answer makes room");
  for (size_t i = 0; i < 8; i++)
    hang_up(&c[i]);
}

static void test_origins(void) {
  bt_httpd_free(&httpd);
  start((struct bt_httpd_options){.max_connections = 8, .max_per_peer = 6, .grace_ms = 1000});
  struct client mine[1], theirs[7], last;
  halves(mine, 1, 1);
  halves(theirs, 7, 2);
  run_for(20);
  ok(bt_httpd_connections(httpd) == 7 && !is_open(&theirs[6]), "one address gets so many connections and no more");
  run_for(1100);
  last = dial_from(3);
  ok(served(1), "a newcomer finds room");
  ok(is_open(&mine[0]) && !is_open(&theirs[0]) && is_open(&theirs[1]), "at the cost of the address that has most");
  ok(served(2), "also that one, at its own cost");
  ok(is_open(&mine[0]) && is_open(&last), "and at nobody else's");
  hang_up(&mine[0]);
  hang_up(&last);
  for (size_t i = 0; i < 7; i++)
    hang_up(&theirs[i]);
}

int main(void) {
  loop = bt_loop_new();
  start((struct bt_httpd_options){0});
  test_slow_reader();
  test_flood();
  test_deadlines();
  test_max_connections();
  test_half_open();
  test_slow_bodies();
  test_origins();
  bt_httpd_free(&httpd);
  bt_loop_free(&loop);
  return done_testing();
}
