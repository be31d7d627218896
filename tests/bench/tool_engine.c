/* tool_engine SOCKET CLIENTS COUNT PREFIX BODY-FILE: sends COUNT creates and starts straight to the Engine API, from CLIENTS
 * connections at once, and prints the seconds until the last start was answered. Containers are called PREFIX1, PREFIX2, …
 * Compares to what a framework adds. */
#include "config.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

struct job {
  const char *socket, *prefix, *body;
  int count;
  atomic_int next, failed;
};

static size_t keep(char *data, size_t size, size_t n, void *arg) {
  bt_buf_add(arg, data, size * n);
  return size * n;
}

static long post(CURL *curl, const char *path, const char *body, struct bt_buf *answer) {
  BT_AUTO_FREE char *url = bt_asprintf("http://engine/v1.41%s", path);
  bt_buf_truncate(answer, 0);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
  long status = 0;
  if (curl_easy_perform(curl) == CURLE_OK)
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

static bool run_one(CURL *curl, struct job *job, int number, struct bt_buf *answer) {
  BT_AUTO_FREE char *create = bt_asprintf("/containers/create?name=%s%d", job->prefix, number);
  BT_AUTO_FREE char *start = bt_asprintf("/containers/%s%d/start", job->prefix, number);
  if (post(curl, create, job->body, answer) == 201 && post(curl, start, "", answer) == 204)
    return true;
  fprintf(stderr, "%s%d: %.*s\n", job->prefix, number, (int)answer->len, answer->data ? answer->data : "no answer");
  return false;
}

static void *client(void *arg) {
  struct job *job = arg;
  CURL *curl = curl_easy_init();
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, job->socket);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
  BT_AUTO_BUF answer = {0};
  for (int n; (n = atomic_fetch_add(&job->next, 1)) <= job->count;)
    if (!run_one(curl, job, n, &answer))
      atomic_fetch_add(&job->failed, 1);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return NULL;
}

int main(int argc, char **argv) {
  enum { most_clients = 64 };
  pthread_t threads[most_clients];
  if (argc != 6 || atoi(argv[2]) < 1 || atoi(argv[2]) > most_clients)
    return fprintf(stderr, "usage: tool_engine SOCKET CLIENTS COUNT PREFIX BODY-FILE\n"), 2;
  BT_AUTO_FREE char *body = NULL;
  if (bt_file_read(argv[5], 1 << 20, &body, NULL, NULL) < 0)
    return fprintf(stderr, "cannot read %s\n", argv[5]), 2;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  struct job job = {.socket = argv[1], .prefix = argv[4], .body = body, .count = atoi(argv[3]), .next = 1};
  int clients = atoi(argv[2]);
  int64_t start = bt_clock_mono_us();
  for (int i = 0; i < clients; i++)
    pthread_create(&threads[i], NULL, client, &job);
  for (int i = 0; i < clients; i++)
    pthread_join(threads[i], NULL);
  printf("%.3f\n", (double)(bt_clock_mono_us() - start) / 1e6);
  curl_global_cleanup();
  return job.failed ? 1 : 0;
}
