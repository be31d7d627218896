/* One transfer: curl's options and callbacks, and the rules of redirects, which curl cannot be told to keep. */
#include "config.h"

#include <dirent.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "loop/http_internal.h"

enum { MAX_HEADERS = 256, MAX_REDIRECTS = 5 };

static void headers_clear(struct bt_http_call *call) {
  bt_vec_each(&call->head, h) {
    free(h->name);
    free(h->value);
  }
  call->head.len = 0;
  free(bt_steal(call->location));
}

void bt_http_call_free(struct bt_http_call *call) {
  headers_clear(call);
  bt_vec_free(&call->head);
  bt_vec_each(&call->request_headers, h) {
    free(h->name);
    free(h->value);
  }
  bt_vec_free(&call->request_headers);
  curl_slist_free_all(call->sent);
  bt_buf_free(&call->answer);
  free(call->method);
  free(call->url);
  free(call->unix_socket);
  free(call->ca_file);
  free(call->cert_file);
  free(call->key_file);
  free(call->body);
  free(call->message);
  free(call->host);
  free(call);
}

int bt_http_call_fail(struct bt_http_call *call, enum bt_code code, const char *message) {
  if (call->code == BT_OK) {
    call->code = code;
    bt_str_set(&call->message, message);
  }
  return -1;
}

/* ---------------------------------------------------------------- curl's callbacks of one transfer */

static const char *header_get(const struct bt_http_call *call, const char *name) {
  for (size_t i = 0; i < call->head.len; i++)
    if (bt_streq(call->head.items[i].name, name))
      return call->head.items[i].value;
  return NULL;
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The head is whole: hand it on, or keep quiet where the redirect will be followed. */
static void head_complete(struct bt_http_call *call) {
  long status = 0;
  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 && status != 101)
    return;
  call->in_body = true;
  call->status = (int)status;
  const char *location = header_get(call, "location");
  if (call->follow && !call->read_body && is_redirect(call->status) && location) {
    call->swallow = true;
    bt_str_set(&call->location, location);
    return;
  }
  if (!call->on_head)
    return;
  BT_VEC(struct bt_http_pair) pairs = {0};
  bt_vec_each(&call->head, h)
    bt_vec_push(&pairs, ((struct bt_http_pair){h->name, h->value}));
  call->on_head(call->arg, call->status, pairs.items, pairs.len);
  bt_vec_free(&pairs);
}

static void add_header(struct bt_http_call *call, const char *line, size_t len) {
  const char *colon = memchr(line, ':', len);
  if (!colon || colon == line)
    return;
  struct bt_http_header h = {.name = bt_strndup(line, (size_t)(colon - line))};
  for (char *p = h.name; *p; p++)
    if (*p >= 'A' && *p <= 'Z')
      *p = (char)(*p + 32);
  const char *v = colon + 1, *end = line + len;
  while (v < end && (*v == ' ' || *v == '\t'))
    v++;
  while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
    end--;
  h.value = bt_strndup(v, (size_t)(end - v));
  bt_vec_push(&call->head, h);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg) {
  struct bt_http_call *call = arg;
  size_t len = size * n;
  while (len && (line[len - 1] == '\r' || line[len - 1] == '\n'))
    len--;
  if (call->cancelled)
    return 0;
  if (call->in_body) /* trailers: nobody asked for them */
    return size * n;
  if (call->head.len >= MAX_HEADERS) {
    bt_http_call_fail(call, BT_TOO_LARGE, "the answer has more than 256 headers");
    return 0;
  }
  if (len == 0)
    head_complete(call);
  else if (len > 5 && strncmp(line, "HTTP/", 5) == 0)
    headers_clear(call);
  else
    add_header(call, line, len);
  return call->cancelled ? 0 : size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg) {
  struct bt_http_call *call = arg;
  size_t len = size * n;
  if (call->cancelled)
    return 0;
  if (call->swallow)
    return len;
  if (call->paused) {
    call->curl_paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (call->on_data) {
    call->paused = !call->on_data(call->arg, data, len);
    return call->cancelled ? 0 : len;
  }
  if (len > call->max_body - call->answer.len) {
    BT_AUTO_FREE char *text = bt_asprintf("the answer is larger than %zu bytes", call->max_body);
    bt_http_call_fail(call, BT_TOO_LARGE, text);
    return 0;
  }
  bt_buf_add(&call->answer, data, len);
  return len;
}

static size_t on_read(char *buf, size_t size, size_t n, void *arg) {
  struct bt_http_call *call = arg;
  if (call->cancelled)
    return CURL_READFUNC_ABORT;
  ssize_t got = call->read_body(call->arg, buf, size * n);
  if (got >= 0)
    return (size_t)got;
  if (got == -1) {
    call->send_paused = true;
    return CURL_READFUNC_PAUSE;
  }
  bt_http_call_fail(call, BT_CANCELLED, "the sender gave up");
  return CURL_READFUNC_ABORT;
}

/* ---------------------------------------------------------------- setting up a transfer */

static bool has_header(const struct bt_http_call *call, const char *name) {
  for (size_t i = 0; i < call->request_headers.len; i++)
    if (strcasecmp(call->request_headers.items[i].name, name) == 0)
      return true;
  return false;
}

static void set_headers(struct bt_http_call *call) {
  struct curl_slist *list = NULL;
  bt_vec_each(&call->request_headers, h) {
    /* "Name;" is curl's way to send a header without a value. */
    BT_AUTO_FREE char *line = *h->value ? bt_asprintf("%s: %s", h->name, h->value) : bt_asprintf("%s;", h->name);
    list = curl_slist_append(list, line);
  }
  if (!has_header(call, "expect"))
    list = curl_slist_append(list, "Expect:");
  if (!has_header(call, "content-type"))
    list = curl_slist_append(list, "Content-Type:");
  if (!has_header(call, "user-agent"))
    list = curl_slist_append(list, "User-Agent: berth/" PACKAGE_VERSION);
  curl_slist_free_all(call->sent);
  call->sent = list;
  curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, list);
}

static void set_method(struct bt_http_call *call) {
  CURL *e = call->easy;
  if (call->read_body) {
    curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(e, CURLOPT_READDATA, call);
  } else if (call->has_body || bt_streq(call->method, "POST") || bt_streq(call->method, "PUT")) {
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->body ? call->body : "");
  } else if (bt_streq(call->method, "HEAD")) {
    curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    return;
  } else {
    curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
  }
  curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
}

/* A file of OpenSSL's hashed folders: "244b5494.0". */
static bool is_hashed(const char *name) { return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] == '0'; }

static bool has_hashed(const char *folder) {
  DIR *dir = folder ? opendir(folder) : NULL;
  bool found = false;
  for (struct dirent *entry; dir && !found && (entry = readdir(dir));)
    found = is_hashed(entry->d_name);
  if (dir)
    closedir(dir);
  return found;
}

/* The system's authorities stand in one file and, on most systems, also in a folder where each is found by its hash. With the
 * file all of them are parsed for a connection, which holds the loop for some 50 ms; with the folder only those that sign. */
static void use_system_folder(CURL *e) {
  char *folder = NULL;
  if (curl_easy_getinfo(e, CURLINFO_CAPATH, &folder) == CURLE_OK && has_hashed(folder))
    curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
}

static void set_tls(struct bt_http_call *call) {
  CURL *e = call->easy;
  curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  if (call->ca_file)
    curl_easy_setopt(e, CURLOPT_CAINFO, call->ca_file);
  else if (!call->unix_socket && strncasecmp(call->url, "https:", 6) == 0)
    use_system_folder(e);
  if (call->cert_file)
    curl_easy_setopt(e, CURLOPT_SSLCERT, call->cert_file);
  if (call->key_file)
    curl_easy_setopt(e, CURLOPT_SSLKEY, call->key_file);
  if (call->tls_insecure) {
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

static void set_options(struct bt_http_call *call) {
  CURL *e = call->easy;
  curl_easy_setopt(e, CURLOPT_PRIVATE, call);
  curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->errbuf);
  curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  /* Else the end of a call that is still resolving its host waits for the resolver's thread, and the loop with it. */
  curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(e, CURLOPT_URL, call->url);
  if (call->unix_socket) {
    curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
  }
  curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
  if (call->timeout_ms > 0)
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
  curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)call->connect_timeout_ms);
  curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
  curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
}

/* ---------------------------------------------------------------- who may be spoken to */

/* The very address that is connected to: what a name server says a second time does not count. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
  struct bt_http_call *call = arg;
  if (purpose == CURLSOCKTYPE_IPCXN && !call->allow(call->allow_arg, call->host, call->port, &address->addr)) {
    call->refused = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void read_host(struct bt_http_call *call) {
  CURLU *u = curl_url();
  char *host = NULL, *port = NULL;
  if (curl_url_set(u, CURLUPART_URL, call->url, 0) == CURLUE_OK) {
    curl_url_get(u, CURLUPART_HOST, &host, 0);
    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  }
  size_t n = host ? strlen(host) : 0;
  free(call->host);
  call->host = n > 2 && *host == '[' ? bt_strndup(host + 1, n - 2) : bt_strdup(host ? host : "");
  call->port = port ? atoi(port) : 0;
  curl_free(host);
  curl_free(port);
  curl_url_cleanup(u);
}

static void ask(struct bt_http_call *call) {
  call->refused = false;
  read_host(call);
  if (!call->allow(call->allow_arg, call->host, call->port, NULL)) {
    BT_AUTO_FREE char *text = bt_asprintf("egress does not allow %s:%d", call->host, call->port);
    bt_http_call_fail(call, BT_DENIED, text);
    return;
  }
  curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
  curl_easy_setopt(call->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(call->easy, CURLOPT_OPENSOCKETDATA, call);
}

void bt_http_call_setup(struct bt_http_call *call) {
  call->errbuf[0] = 0;
  if (call->allow && !call->unix_socket)
    ask(call);
  set_options(call);
  set_tls(call);
  set_method(call);
  set_headers(call);
}

/* ---------------------------------------------------------------- redirects */

/* Scheme, host and port alike? Then credentials may go along. */
static bool same_origin(CURLU *a, CURLU *b) {
  static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
  for (size_t i = 0; i < BT_COUNT(parts); i++) {
    char *x = NULL, *y = NULL;
    curl_url_get(a, parts[i], &x, CURLU_DEFAULT_PORT);
    curl_url_get(b, parts[i], &y, CURLU_DEFAULT_PORT);
    bool same = x && y && strcasecmp(x, y) == 0;
    curl_free(x);
    curl_free(y);
    if (!same)
      return false;
  }
  return true;
}

/* To another host go only headers that are known to carry no credential, and no client certificate. */
static void drop_credentials(struct bt_http_call *call) {
  static const char *const harmless[] = {"accept",   "accept-encoding", "accept-language", "cache-control", "content-type",
                                         "if-match", "if-none-match",   "range",           "user-agent"};
  for (size_t i = call->request_headers.len; i-- > 0;) {
    struct bt_http_header h = call->request_headers.items[i];
    bool keep = false;
    for (size_t k = 0; k < BT_COUNT(harmless); k++)
      keep |= strcasecmp(h.name, harmless[k]) == 0;
    if (keep)
      continue;
    free(h.name);
    free(h.value);
    bt_vec_remove(&call->request_headers, i);
  }
  free(bt_steal(call->cert_file));
  free(bt_steal(call->key_file));
}

static int check_hop(struct bt_http_call *call, CURLU *from, CURLU *to) {
  char *a = NULL, *b = NULL;
  curl_url_get(from, CURLUPART_SCHEME, &a, 0);
  curl_url_get(to, CURLUPART_SCHEME, &b, 0);
  bool down = bt_streq(a, "https") && !bt_streq(b, "https");
  curl_free(a);
  curl_free(b);
  if (down)
    return bt_http_call_fail(call, BT_UNAVAILABLE, "the server redirects from https to an unprotected address");
  if (same_origin(from, to))
    return 0;
  if (call->unix_socket)
    return bt_http_call_fail(call, BT_UNAVAILABLE, "the server on the unix socket redirects to another host");
  drop_credentials(call);
  return 0;
}

int bt_http_call_redirect(struct bt_http_call *call) {
  if (++call->redirects > MAX_REDIRECTS)
    return bt_http_call_fail(call, BT_UNAVAILABLE, "more than 5 redirects");
  CURLU *from = curl_url(), *to = curl_url();
  char *next = NULL;
  int rc = -1;
  if (curl_url_set(from, CURLUPART_URL, call->url, 0) || curl_url_set(to, CURLUPART_URL, call->url, 0) ||
      curl_url_set(to, CURLUPART_URL, call->location, 0))
    bt_http_call_fail(call, BT_UNAVAILABLE, "the server redirects to an address that is none");
  else if (check_hop(call, from, to) == 0 && curl_url_get(to, CURLUPART_URL, &next, 0) == CURLUE_OK)
    rc = 0;
  curl_url_cleanup(from);
  curl_url_cleanup(to);
  if (rc == 0)
    bt_str_set(&call->url, next);
  curl_free(next);
  bool to_get = call->status == 303 || (call->status < 303 && bt_streq(call->method, "POST"));
  if (to_get && !bt_streq(call->method, "HEAD")) {
    bt_str_set(&call->method, "GET");
    free(bt_steal(call->body));
    call->body_len = 0;
    call->has_body = false;
  }
  call->in_body = call->swallow = false;
  headers_clear(call);
  return rc;
}
