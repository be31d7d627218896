/* tool_hello SOCKET: a bare libevent "hello" server on a unix socket, for comparison. Runs until it is killed. */
#include "config.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void hello(struct evhttp_request *request, void *arg) {
  (void)arg;
  struct evbuffer *body = evbuffer_new();
  evbuffer_add(body, "hello", 5);
  evhttp_send_reply(request, 200, "OK", body);
  evbuffer_free(body);
}

int main(int argc, char **argv) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof at.sun_path)
    return fprintf(stderr, "usage: tool_hello SOCKET\n"), 2;
  strcpy(at.sun_path, argv[1]);
  unlink(argv[1]);
  struct event_base *base = event_base_new();
  struct evhttp *http = evhttp_new(base);
  evhttp_set_gencb(http, hello, NULL);
  struct evconnlistener *listener = evconnlistener_new_bind(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
                                                            (struct sockaddr *)&at, sizeof at);
  if (!listener || !evhttp_bind_listener(http, listener))
    return perror(argv[1]), 2;
  event_base_dispatch(base);
  return 0;
}
