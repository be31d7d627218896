/* berth/chat.h: berth.chat/1, chat systems: notices out. Shaped with Slack's incoming webhooks, Mattermost's and Matrix's
 * room messages in hand. A plug-in also listens to berth.host.events/1 and sends what its own filters let through. */
#ifndef BERTH_CHAT_H
#define BERTH_CHAT_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_CHAT "berth.chat/1"

struct berth_chat_send {
  size_t size;
  const char *channel;  /* NULL: the configured default */
  const char *text;     /* plain text, UTF-8; the plug-in escapes it for its product and cuts it to the product's limit */
  const char *severity; /* "info" "warning" "error" */
};

struct berth_chat {
  size_t size;
  /* Queues a message. Result: {"queued": true}. EXHAUSTED where the queue is full. */
  void (*send)(struct berth_instance *self, berth_op op, const struct berth_chat_send *request);
  /* Result: {"status": "ok"|"failing", "queued": n, "dropped": n, "detail": "…"}; for berth doctor. */
  void (*probe)(struct berth_instance *self, berth_op op);
};

#ifdef __cplusplus
}
#endif

#endif
