/* berth.chat/1 as of the frozen headers. */
#include <berth/chat.h>

#include "abi-1/old.h"

static void send(struct berth_instance *self, berth_op op, const struct berth_chat_send *r) {
  say(self, op, "{\"channel\":\"%s\",\"text\":\"%s\",\"severity\":\"%s\",\"config\":%s}", or_none(r->channel), r->text, r->severity,
      self->config);
}

static void probe(struct berth_instance *self, berth_op op) { say(self, op, "{\"status\":\"ok\"}"); }

static const struct berth_chat chat = {.size = sizeof chat, .send = send, .probe = probe};
OLD_PLUGIN("chat-old", BERTH_CHAT, chat);
