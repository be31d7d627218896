/* @NAME@ alone, over the host of host.h. */
#define _POSIX_C_SOURCE 200809L
#include <berth/chat.h>
#include <unistd.h>

#include "host.h"

static const struct berth_chat *chat;

static void send_text(const char *text) {
  struct berth_chat_send request = {.size = sizeof request, .text = text, .severity = "info"};
  chat->send(H.self, new_op(), &request);
}

static void test_configuration(void) {
  has(start_entry("{}"), "either \"file\" or \"url\"", "lines need a place to go");
  has(start_entry("{\"file\":\"/a\",\"url\":\"http://b/\"}"), "either", "one place, not two");
  has(start_entry("{\"file\":\"lines\"}"), "absolute", "a relative path is refused");
  has(start_entry("{\"url\":\"ftp://b/\"}"), "https://", "so is a URL that is not HTTP");
}

static void test_file(void) {
  char path[] = "/tmp/@NAME@-XXXXXX", config[128], text[1024] = "";
  int fd = mkstemp(path);
  snprintf(config, sizeof config, "{\"file\":\"%s\"}", path);
  ok(fd >= 0 && !start_entry(config), "an entry that writes to a file starts");
  send_text("hello");
  ok(H.finished == 1 && H.code == BERTH_OK, "a message is taken, and its operation finished once");
  send_text("");
  ok(H.finished == 1 && H.code == BERTH_INVALID, "one without a text is refused");
  ok(event("app.deployed", "info", "shop: revision 1 is deployed"), "an event is taken");
  ok(read(fd, text, sizeof text - 1) > 0, "the file has lines");
  has(text, "\"message\":\"hello\"", "the message");
  has(text, "\"type\":\"app.deployed\"", "and the event");
  stop_entry();
  close(fd);
  unlink(path);
}

static void test_url(void) {
  ok(!start_entry("{\"url\":\"http://chat.example/hook\"}"), "an entry that posts starts");
  send_text("one");
  ok(H.requesting && strcmp(H.url, "http://chat.example/hook") == 0, "it posts to its URL");
  send_text("two");
  answer(BERTH_OK, 500, "");
  ok(H.timer_ms == 1000, "an answer of 500 is tried again after a second");
  chat->probe(H.self, new_op());
  has(H.result, "\"status\":\"failing\",\"queued\":2", "the doctor hears of it");
  timer_fires();
  has(H.body, "\"message\":\"one\"", "the same lines again");
  has(H.body, "\"message\":\"two\"", "with what came meanwhile");
  answer(BERTH_OK, 204, "");
  chat->probe(H.self, new_op());
  has(H.result, "\"status\":\"ok\",\"queued\":0", "and all is well");
  send_text("three");
  stop_entry();
  ok(!H.requesting, "it stops while a request is open");
}

int main(int argc, char **argv) {
  load(argc, argv);
  chat = methods_of(BERTH_CHAT);
  if (!ok(chat && chat->size >= sizeof *chat, "it implements %s", BERTH_CHAT))
    return done_testing();
  test_configuration();
  test_file();
  test_url();
  return done_testing();
}
