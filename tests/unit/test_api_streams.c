/* The API's streams: changes and events, logs, commands over a WebSocket. */
#include "config.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <berth/runtime.h>

#include "api_kit.h"

static void test_watch(void) {
  AUTO_ANSWER w = {0}, e = {0}, past = {0}, bad = get("/v1/watch?kinds=blob");
  is_int(bad.status, 400, "what is inside cannot be watched");
  struct bt_http_call *watch = begin(&w, "GET", "/v1/watch?kinds=secret,instance", NULL, NULL, NULL, true, false);
  ok(sees(&w, ":\n\n"), "a watch begins");
  struct bt_http_call *events = begin(&e, "GET", "/v1/events?follow=true&type=revision.*", NULL, NULL, NULL, true, false);
  BT_AUTO_FREE char *id = bt_asprintf("id: %llu\n\n", (unsigned long long)bt_feed_latest(feed));
  ok(sees(&e, ":\n\n") && sees(&e, id) && sees(&w, id), "so do events; both say where to resume before anything happened");
  AUTO_ANSWER put = ask("PUT", "/v1/namespaces/default/secrets/seen", "{\"data\": \"aGVsbG8=\"}", NULL, NULL);
  ok(put.status == 200 && sees(&w, "event: secret\n") && sees(&w, "\"key\":\"default/secrets/-/seen\""), "a change arrives");
  ok(!strstr(w.text.data, "event: blob") && !strstr(w.text.data, "aGVsbG8"), "without what is inside");
  BT_AUTO_JSON progress = json_pack("{s:s, s:s}", "instance", "x", "text", "pulling");
  bt_api_progress(api, progress);
  ok(sees(&w, "event: progress\ndata: {\"instance\":\"x\""), "progress comes with instances");
  AUTO_ANSWER applied = ask("POST", "/v1/namespaces/default/apps", "{\"compose\": \"name: other\\nservices: {a: {image: b}}\"}", NULL, NULL);
  ok(applied.status == 200 && sees(&e, "\"type\":\"revision."), "events of a type");
  AUTO_ANSWER list = get("/v1/events?type=revision.*");
  ok(json_array_size(bt_json_arr(list.json, "items")) > 0, "events as a list");
  AUTO_ANSWER first = {0};
  struct bt_http_call *old = begin(&first, "GET", "/v1/events?follow=true&after=0", NULL, NULL, NULL, true, false);
  ok(sees(&first, "\"app\":\"shop\"") && !strstr(first.text.data, "event: gap"), "events from the very first");
  bt_http_cancel(old);
  while (!first.done)
    run_for(100);
  struct bt_http_call *resumed = begin(&past, "GET", "/v1/watch?kinds=app,secret", NULL, "Last-Event-ID", "0", true, false);
  ok(sees(&past, "\"key\":\"default/other\"") || sees(&past, "event: gap"), "a watch resumes");
  bt_http_cancel(watch);
  bt_http_cancel(events);
  bt_http_cancel(resumed);
  while (!w.done || !e.done || !past.done)
    run_for(100);
}

/* Who asks for all events while a commit is on its way to the disk is not told that some are gone. */
static void test_events_amid_commits(void) {
  int gaps = 0, missed = 0;
  for (int i = 0; i < 20; i++) {
    AUTO_ANSWER put = {0}, all = {0};
    BT_AUTO_FREE char *body = bt_asprintf("{\"compose\": \"name: amid\\nservices: {a: {image: b, command: c%d}}\"}", i);
    begin(&put, "POST", "/v1/namespaces/default/apps", body, NULL, NULL, false, false);
    run_for(i % 5);
    struct bt_http_call *events = begin(&all, "GET", "/v1/events?follow=true&after=0", NULL, NULL, NULL, true, false);
    BT_AUTO_FREE char *text = bt_asprintf("amid: revision %d by", i + 1);
    missed += !sees(&all, text);
    gaps += strstr(all.text.data, "event: gap") != NULL;
    bt_http_cancel(events);
    while (!all.done || !put.done)
      run_for(10);
  }
  is_int(missed, 0, "events amid commits: all come");
  is_int(gaps, 0, "and none is said to be gone");
}

static void test_logs(void) {
  AUTO_ANSWER none = get("/v1/namespaces/default/instances/nope/logs");
  is_int(none.status, 404, "logs of nothing");
  BT_AUTO_FREE char *path = bt_asprintf("/v1/namespaces/default/instances/%s/logs?tail=5&since=10m&follow=true", instance);
  AUTO_ANSWER a = {0};
  begin(&a, "GET", path, NULL, NULL, NULL, true, false);
  run_for(2000);
  ok(bt_streq(node.op, "logs") && strstr(node.args, "\"tail\":5") && strstr(node.args, "\"follow\":true"), "logs are asked for");
  node.to.data(node.to.arg, 5, "{\"line\":\"one\"}", 14);
  ok(sees(&a, "{\"line\":\"one\"}\n"), "a line comes at once");
  node.to.data(node.to.arg, 5, "{\"line\":\"two\"}", 14);
  node.to.done(node.to.arg, BT_OK, "", NULL);
  while (!a.done)
    run_for(1000);
  is_str(a.text.data, "{\"line\":\"one\"}\n{\"line\":\"two\"}\n", "and the rest");
  is_str(a.type, "application/x-ndjson", "as lines of JSON");
  AUTO_ANSWER b = {0};
  struct bt_http_call *call = begin(&b, "GET", path, NULL, NULL, NULL, true, false);
  run_for(2000);
  node.to.data(node.to.arg, 5, "{}", 2);
  ok(sees(&b, "{}"), "another one");
  bt_http_cancel(call);
  for (int i = 0; i < 50 && !node.cancels; i++)
    run_for(20);
  is_int(node.cancels, 1, "a reader that goes ends the stream");
  run_for(20);
  AUTO_ANSWER c = {0};
  begin(&c, "GET", path, NULL, NULL, NULL, false, false);
  run_for(2000);
  node.to.done(node.to.arg, BT_UNAVAILABLE, "the engine is away", NULL);
  while (!c.done)
    run_for(1000);
  is_int(c.status, 503, "a failure before the first line is a problem");
}

/* A reader that does not read: what waits for it is told to the node, which then reads no more. */
static void test_logs_slow(void) {
  BT_AUTO_FREE char *head = bt_asprintf("GET /v1/namespaces/default/instances/%s/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n", instance);
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", sock_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ok(connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, head, strlen(head)) == (ssize_t)strlen(head), "a slow reader");
  run_for(2000);
  static char piece[256 * 1024];
  memset(piece, 'x', sizeof piece);
  size_t waiting = 0;
  for (int i = 0; i < 16; i++)
    waiting = node.to.data(node.to.arg, BERTH_RUNTIME_LINE, piece, sizeof piece);
  ok(waiting > 3 << 20, "%zu bytes wait for it", waiting);
  for (int i = 0; i < 200 && node.to.data(node.to.arg, 0, NULL, 0); i++) {
    static char taken[256 * 1024];
    while (recv(fd, taken, sizeof taken, MSG_DONTWAIT) > 0)
      ;
    run_for(10);
  }
  is_int(node.to.data(node.to.arg, 0, NULL, 0), 0, "until it has read them");
  int cancels = node.cancels;
  close(fd);
  for (int i = 0; i < 50 && node.cancels == cancels; i++)
    run_for(20);
  is_int(node.cancels, cancels + 1, "its end ends the stream");
  run_for(20);
}

/* ---- exec, over a tunnel with frames made by hand ---- */

struct shell {
  struct bt_http_tunnel *t;
  bool open;
  int status, closes;
  struct bt_buf in;
};

static void shell_open(void *arg, bool is_ok, int code, const char *body, size_t len) {
  struct shell *s = arg;
  (void)body;
  (void)len;
  s->open = is_ok;
  s->status = code;
}

static void shell_data(void *arg, const void *data, size_t len) {
  bt_buf_add(&((struct shell *)arg)->in, data, len);
  bt_loop_stop(loop);
}

static void shell_close(void *arg, enum bt_code code, const char *message) {
  (void)code;
  (void)message;
  ((struct shell *)arg)->closes++;
  bt_loop_stop(loop);
}

static void shell_say(struct shell *s, int channel, const char *text) {
  char frame[120] = {(char)0x82, (char)(0x80 | (strlen(text) + 1)), 0, 0, 0, 0, (char)channel};
  memcpy(frame + 7, text, strlen(text));
  bt_http_tunnel_write(s->t, frame, 7 + strlen(text));
}

static struct shell shell(struct shell *s, const char *query) {
  static const struct bt_http_pair h[] = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"},
                                          {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  BT_AUTO_FREE char *url = bt_asprintf("http://localhost/v1/namespaces/default/instances/%s/exec?%s", instance, query);
  *s = (struct shell){0};
  s->t = bt_http_upgrade(http, &(struct bt_http_upgrade){.url = url, .unix_socket = sock_path, .headers = h, .nheaders = 4,
                                                         .on_open = shell_open, .on_data = shell_data, .on_close = shell_close, .arg = s});
  run_for(2000);
  return *s;
}

static void test_exec(void) {
  struct shell s;
  free(bt_steal(node.op));
  shell(&s, "command=%5B%22sh%22%5D&tty=true&stdin=true&rows=24&cols=80");
  run_for(20);
  ok(s.open && bt_streq(node.op, "exec") && strstr(node.args, "\"command\":[\"sh\"]") && strstr(node.args, "\"rows\":24"), "a shell");
  shell_say(&s, 0, "ls\n");
  shell_say(&s, 4, "{\"rows\":50,\"cols\":100}");
  shell_say(&s, 5, "");
  for (int i = 0; i < 50 && !node.ended; i++)
    run_for(20);
  is_str(node.input.data, "ls\n", "input");
  ok(node.rows == 50 && node.cols == 100 && node.ended, "resize and the end of input");
  node.to.data(node.to.arg, 1, "out", 3);
  node.to.data(node.to.arg, 2, "err", 3);
  BT_AUTO_JSON result = json_pack("{s:i}", "exit_code", 3);
  node.to.done(node.to.arg, BT_OK, "", result);
  static const char want[] = "\x82\x04\x01out\x82\x04\x02" "err\x82\x10\x03{\"exit_code\":3}\x88\x02\x03\xe8";
  for (int i = 0; i < 50 && s.in.len < sizeof want - 1; i++)
    run_for(20);
  ok(s.in.len == sizeof want - 1 && memcmp(s.in.data, want, s.in.len) == 0, "output on its channels, the result, the close");
  char close_frame[] = {(char)0x88, (char)0x82, 0, 0, 0, 0, 3, (char)0xe8};
  bt_http_tunnel_write(s.t, close_frame, sizeof close_frame);
  for (int i = 0; i < 50 && !s.closes; i++)
    run_for(20);
  is_int(s.closes, 1, "the connection ends");
  bt_buf_free(&s.in);
  node.cancels = 0;
  shell(&s, "command=%5B%22sh%22%5D");
  run_for(20);
  bt_http_tunnel_cancel(s.t);
  for (int i = 0; i < 50 && !node.cancels; i++)
    run_for(20);
  is_int(node.cancels, 1, "a client that goes ends the command's stream");
  run_for(30);
  bt_buf_free(&s.in);
  shell(&s, "command=sh");
  is_int(s.status, 400, "a command is a JSON array");
  run_for(20);
  BT_AUTO_FREE char *path = bt_asprintf("/v1/namespaces/default/instances/%s/exec?command=%%5B%%22sh%%22%%5D", instance);
  AUTO_ANSWER plain = get(path);
  is_int(plain.status, 426, "a plain GET is told to upgrade");
}

static void test_application(void) {
  AUTO_ANSWER a = ask("POST", "/v1/namespaces/default/apps", "{\"compose\": \"name: shop\\nservices: {web: {image: busybox}}\"}", NULL, NULL);
  is_int(a.status, 200, "an app");
}

int main(void) {
  ok(mkdtemp(dir) != NULL, "a folder");
  setup();
  if (!api)
    return done_testing();
  test_application();
  bool there = ok(make_instance(), "an instance");
  test_watch();
  test_events_amid_commits();
  if (there) {
    test_logs();
    test_logs_slow();
    test_exec();
  }
  teardown();
  return done_testing();
}
