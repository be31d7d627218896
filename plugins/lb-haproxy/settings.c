#include "settings.h"

#include <unistd.h>

/* Text that stands bare in HAProxy's configuration. */
static bool bare(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f || strchr("\"'\\#", *text))
      return false;
  return true;
}

static void read_list(const json_t *o, const char *key, struct lbh_list *out) {
  const json_t *list = pu_arr(o, key);
  out->items = pu_calloc(json_array_size(list) + 1, sizeof *out->items);
  for (size_t i = 0; i < json_array_size(list); i++)
    out->items[out->len++] = pu_strdup(json_is_string(json_array_get(list, i)) ? json_string_value(json_array_get(list, i)) : "");
}

int lbh_listen_port(const char *listen) {
  const char *colon = strrchr(listen, ':');
  char *end = NULL;
  long port = colon ? strtol(colon + 1, &end, 10) : 0;
  return colon && end && !*end && colon[1] && port > 0 && port <= 65535 ? (int)port : 0;
}

static bool check_listens(const struct lbh_list *list, const char *key, char **why) {
  for (size_t i = 0; i < list->len; i++)
    if (!lbh_listen_port(list->items[i]) || !bare(list->items[i]) || strchr(list->items[i], ',')) {
      pu_set(why, pu_asprintf("%s: \"%.80s\" is no address and port, such as \"*:80\", \"127.0.0.1:8080\" or \"[::]:443\"", key, list->items[i]));
      return false;
    }
  return true;
}

static bool check_networks(const struct lbh_list *list, const char *key, char **why) {
  for (size_t i = 0; i < list->len; i++)
    if (!*list->items[i] || strspn(list->items[i], "0123456789abcdefABCDEF.:/") != strlen(list->items[i])) {
      pu_set(why, pu_asprintf("%s: \"%.80s\" is no address or network, such as \"10.0.0.0/8\"", key, list->items[i]));
      return false;
    }
  return true;
}

static bool check(const struct lbh_settings *s, char **why) {
  const struct {
    const char *key, *path;
  } paths[] = {{"dir", s->dir}, {"config_file", s->config_file}, {"stats_socket", s->stats_socket}, {"master_socket", s->master_socket}};
  if (!check_listens(&s->http, "http", why) || !check_listens(&s->https, "https", why) ||
      !check_networks(&s->accept_proxy_from, "accept_proxy_from", why) ||
      !check_networks(&s->trust_forwarded_from, "trust_forwarded_from", why))
    return false;
  for (size_t i = 0; i < PU_COUNT(paths); i++)
    if (paths[i].path && (paths[i].path[0] != '/' || !bare(paths[i].path) || strlen(paths[i].path) > 90)) {
      pu_set(why, pu_asprintf("%s: \"%.100s\" is no absolute path of at most 90 bytes without spaces", paths[i].key, paths[i].path));
      return false;
    }
  if (s->peers && (!s->attach || !*s->peers || !bare(s->peers))) {
    pu_set(why, pu_strdup("peers is the name of a section of base_files, for mode attach; a child has one of its own"));
    return false;
  }
  if (!bare(s->tcp_address) || (s->user && !bare(s->user)) || (s->log && strpbrk(s->log, "\"'\\#\r\n"))) {
    pu_set(why, pu_strdup("tcp_address and user hold no spaces, log no quotes"));
    return false;
  }
  if (s->attach && (!s->stats_socket || (!s->master_socket && !s->reload_command.len))) {
    pu_set(why, pu_strdup("mode attach needs stats_socket (of level admin) and master_socket or reload_command"));
    return false;
  }
  return true;
}

static char *path_or(const json_t *o, const char *key, const char *dir, const char *name) {
  return pu_str(o, key) ? pu_strdup(pu_str(o, key)) : pu_asprintf("%s/%s", dir, name);
}

bool lbh_settings_read(const char *config_json, struct lbh_settings *s, char **why) {
  PU_AUTO_JSON o = pu_json_parse(config_json, strlen(config_json));
  *s = (struct lbh_settings){.attach = pu_eq(pu_str(o, "mode"), "attach")};
  if (!s->attach && !pu_eq(pu_str_or(o, "mode", "child"), "child")) {
    pu_set(why, pu_strdup("mode is child (HAProxy is started and watched here) or attach (it runs already)"));
    return false;
  }
  s->program = pu_strdup(pu_str_or(o, "program", "haproxy"));
  s->dir = pu_strdup(pu_str_or(o, "dir", "/run/berth/haproxy"));
  s->config_file = path_or(o, "config_file", s->dir, "haproxy.cfg");
  s->stats_socket = s->attach ? pu_strdup(pu_str(o, "stats_socket")) : path_or(o, "stats_socket", s->dir, "admin.sock");
  s->master_socket = s->attach ? pu_strdup(pu_str(o, "master_socket")) : path_or(o, "master_socket", s->dir, "master.sock");
  read_list(o, "base_files", &s->base_files);
  read_list(o, "reload_command", &s->reload_command);
  read_list(o, "http", &s->http);
  read_list(o, "https", &s->https);
  read_list(o, "accept_proxy_from", &s->accept_proxy_from);
  read_list(o, "trust_forwarded_from", &s->trust_forwarded_from);
  s->peers = pu_strdup(pu_str(o, "peers"));
  s->tcp_address = pu_strdup(pu_str_or(o, "tcp_address", "*"));
  s->tcp_port_min = (int)pu_int(o, "tcp_port_min", 1024);
  s->user = pu_strdup(pu_str(o, "user"));
  s->log = pu_strdup(pu_str(o, "log"));
  s->client_timeout_ms = pu_int(o, "client_timeout", 60000);
  s->hard_stop_ms = pu_int(o, "hard_stop_after", 900000);
  s->stats_interval_ms = pu_int(o, "stats_interval", 5000);
  s->maxconn = (int)pu_int(o, "maxconn", 0);
  s->keep_running = pu_bool(o, "keep_running", true);
  if (check(s, why))
    return true;
  lbh_settings_free(s);
  return false;
}

static void free_list(struct lbh_list *list) {
  for (size_t i = 0; i < list->len; i++)
    free(list->items[i]);
  free(list->items);
}

void lbh_settings_free(struct lbh_settings *s) {
  char *texts[] = {s->program, s->dir, s->config_file, s->stats_socket, s->master_socket, s->peers, s->tcp_address, s->user, s->log};
  struct lbh_list *lists[] = {&s->base_files, &s->reload_command, &s->http, &s->https, &s->accept_proxy_from, &s->trust_forwarded_from};
  for (size_t i = 0; i < PU_COUNT(texts); i++)
    free(texts[i]);
  for (size_t i = 0; i < PU_COUNT(lists); i++)
    free_list(lists[i]);
  *s = (struct lbh_settings){0};
}
