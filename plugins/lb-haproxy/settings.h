/* The plug-in's configuration, read from the JSON that the host has checked. */
#ifndef LBH_SETTINGS_H
#define LBH_SETTINGS_H

#include "../common/util.h"

struct lbh_list {
  char **items;
  size_t len;
};

struct lbh_settings {
  bool attach;             /* HAProxy runs already; else it is ours */
  char *program;           /* "haproxy" or a path */
  char *dir;               /* for our files and sockets */
  char *config_file;       /* that we write */
  char *stats_socket, *master_socket;
  struct lbh_list base_files;     /* attach: read before ours */
  struct lbh_list reload_command; /* attach; empty: through the master socket */
  struct lbh_list http, https;    /* "address:port" to listen on */
  struct lbh_list accept_proxy_from, trust_forwarded_from;
  char *peers;             /* attach: the section of peers that tables join; NULL: none */
  char *tcp_address;
  int tcp_port_min;
  char *user;
  char *log;
  int64_t client_timeout_ms, hard_stop_ms, stats_interval_ms;
  int maxconn; /* 0: HAProxy's own */
  bool keep_running;
};

/* False with a sentence that the caller frees. */
bool lbh_settings_read(const char *config_json, struct lbh_settings *out, char **why);
void lbh_settings_free(struct lbh_settings *settings);

/* The port of "address:port", "[::]:443", "*:80"; 0 where it has none. */
int lbh_listen_port(const char *listen);

#endif
