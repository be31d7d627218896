/* The texts of /etc/hosts, /etc/hostname and /etc/resolv.conf. */
#include "config.h"
#include "parts.h"

#include <arpa/inet.h>

static bool is_address(const char *text) {
  unsigned char raw[16];
  return inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1;
}

/* Of one word in a file of words: no blanks, no control characters, no comment. */
static bool word_sound(const char *text) {
  if (!*text || strlen(text) > 1024)
    return false;
  for (; *text; text++)
    if ((unsigned char)*text <= ' ' || *text == '#' || *text == ';' || *text == 127)
      return false;
  return true;
}

/* ---------------------------------------------------------------- hosts */

static void host_add(struct ro_spec *s, struct pu_buf *out, const char *name, const char *address) {
  size_t n = strlen(address), i;
  json_t *v;
  PU_AUTO_FREE bare = n > 1 && address[0] == '[' && address[n - 1] == ']' ? pu_strndup(address + 1, n - 2) : pu_strdup(address);
  if (!word_sound(name)) {
    ro_error(s, BERTH_INVALID, "extra_hosts: \"%.200s\" is no name", name);
  } else if (is_address(bare)) {
    pu_buf_addf(out, "%s\t%s\n", bare, name);
  } else if (!pu_eq(bare, "host-gateway")) {
    ro_error(s, BERTH_INVALID, "extra_hosts: %s: \"%.200s\" is no address", name, bare);
  } else if (s->host_network) {
    pu_buf_addf(out, "127.0.0.1\t%s\n", name);
  } else {
    if (!json_array_size(s->in->gateways) && !s->in->trying)
      ro_error(s, BERTH_INVALID, "extra_hosts: %s: host-gateway: the container is in no network with a gateway to the machine", name);
    json_array_foreach(s->in->gateways, i, v)
      pu_buf_addf(out, "%s\t%s\n", json_string_value(v), name);
  }
}

/* ["db=10.0.0.1", "db:10.0.0.1"] or {"db": "10.0.0.1" or [..]} */
static void extra_hosts(struct ro_spec *s, struct pu_buf *out) {
  const json_t *hosts = ro_member(s->service, "extra_hosts");
  const char *name;
  json_t *v, *one;
  size_t i;
  json_array_foreach(hosts, i, v) {
    PU_AUTO_FREE text = pu_strdup(json_is_string(v) ? json_string_value(v) : "");
    char *sep = strpbrk(text, "=:");
    if (sep) {
      *sep = '\0';
      host_add(s, out, text, sep + 1);
    } else {
      ro_error(s, BERTH_INVALID, "extra_hosts: \"%.200s\" is not name=address", text);
    }
  }
  json_object_foreach((json_t *)(uintptr_t)hosts, name, v) {
    if (json_is_string(v))
      host_add(s, out, name, json_string_value(v));
    json_array_foreach(v, i, one)
      if (json_is_string(one))
        host_add(s, out, name, json_string_value(one));
  }
}

static char *hosts_text(struct ro_spec *s) {
  struct pu_buf out = {0};
  PU_AUTO_FREE domain = pu_scalar(ro_member(s->service, "domainname"));
  size_t i;
  json_t *v;
  if (s->host_network && s->in->host_hosts) {
    pu_buf_adds(&out, s->in->host_hosts);
    if (out.len && out.data[out.len - 1] != '\n')
      pu_buf_addc(&out, '\n');
  } else {
    pu_buf_adds(&out, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n"
                      "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
  }
  extra_hosts(s, &out);
  json_array_foreach(s->in->addresses, i, v) {
    if (domain && *domain)
      pu_buf_addf(&out, "%s\t%s.%s %s\n", json_string_value(v), s->hostname_text, domain, s->hostname_text);
    else
      pu_buf_addf(&out, "%s\t%s\n", json_string_value(v), s->hostname_text);
  }
  return pu_buf_steal(&out);
}

/* ---------------------------------------------------------------- resolv.conf */

/* A line of the machine's: its words behind the keyword, NULL where it is another. */
static const char *line_after(const char *line, const char *keyword) {
  size_t n = strlen(keyword);
  return strncmp(line, keyword, n) == 0 && (line[n] == ' ' || line[n] == '\t') ? line + n + strspn(line + n, " \t") : NULL;
}

/* The machine's nameservers that a container in a network of its own can reach. */
static void machine_servers(struct ro_spec *s, json_t *servers, char **search, char **options) {
  PU_AUTO_FREE text = pu_strdup(s->in->host_resolv ? s->in->host_resolv : "");
  char *save = NULL;
  for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    const char *server = line_after(line, "nameserver"), *names = line_after(line, "search"), *opts = line_after(line, "options");
    if (!names)
      names = line_after(line, "domain");
    PU_AUTO_FREE one = server ? pu_strndup(server, strcspn(server, " \t\r")) : NULL;
    PU_AUTO_FREE bare = one ? pu_strndup(one, strcspn(one, "%")) : NULL;
    bool here_only = one && (pu_starts(one, "127.") || pu_eq(one, "::1") || strchr(one, '%')); /* by an interface of the machine's */
    if (one && is_address(bare) && (s->host_network || !here_only))
      json_array_append_new(servers, pu_json_string(one));
    if (names)
      pu_set(search, pu_strdup(names));
    if (opts)
      pu_set(options, pu_strdup(opts));
  }
}

static char *joined(struct ro_spec *s, const char *key, const json_t *list) {
  struct pu_buf out = {0};
  size_t i;
  json_t *v;
  json_array_foreach(list, i, v) {
    if (!word_sound(json_string_value(v)))
      ro_error(s, BERTH_INVALID, "%s: \"%.200s\" is no word of resolv.conf", key, json_string_value(v));
    pu_buf_addf(&out, "%s%s", i ? " " : "", json_string_value(v));
  }
  return pu_buf_steal(&out);
}

/* The nameservers asked: the networks' own resolvers, which forward to the service's; else the service's; else the machine's. */
static char *resolv_text(struct ro_spec *s) {
  PU_AUTO_JSON dns = pu_strings(ro_member(s->service, "dns"));
  PU_AUTO_JSON search = pu_strings(ro_member(s->service, "dns_search"));
  PU_AUTO_JSON options = pu_strings(ro_member(s->service, "dns_opt"));
  PU_AUTO_JSON machine = json_array();
  PU_AUTO_FREE search_text = NULL;
  PU_AUTO_FREE options_text = NULL;
  struct pu_buf out = {0};
  size_t i;
  json_t *v;
  json_array_foreach(dns, i, v)
    if (!is_address(json_string_value(v)))
      ro_error(s, BERTH_INVALID, "dns: \"%.200s\" is no address", json_string_value(v));
  machine_servers(s, machine, &search_text, &options_text);
  bool own = json_array_size(s->in->resolvers) && !s->host_network;
  if (own && json_array_size(dns))
    s->upstreams = json_incref(dns);
  const json_t *servers = own ? s->in->resolvers : json_array_size(dns) ? dns : machine;
  if (json_array_size(search))
    pu_set(&search_text, pu_eq(json_string_value(json_array_get(search, 0)), ".") ? NULL : joined(s, "dns_search", search));
  if (json_array_size(options))
    pu_set(&options_text, joined(s, "dns_opt", options));
  else if (own)
    pu_set(&options_text, pu_strdup("ndots:0"));
  json_array_foreach(servers, i, v)
    pu_buf_addf(&out, "nameserver %s\n", json_string_value(v));
  if (search_text && *search_text)
    pu_buf_addf(&out, "search %s\n", search_text);
  if (options_text && *options_text)
    pu_buf_addf(&out, "options %s\n", options_text);
  return pu_buf_steal(&out);
}

void ro_spec_files(struct ro_spec *s) {
  if (pu_starts(pu_str(s->in->spec, "network_mode"), "container:")) {
    static const char *const theirs[] = {"dns", "dns_search", "dns_opt", "extra_hosts"};
    for (size_t i = 0; i < PU_COUNT(theirs); i++)
      if (json_array_size(ro_member(s->service, theirs[i])) || json_object_size(ro_member(s->service, theirs[i])))
        ro_error(s, BERTH_INVALID, "%s: with network_mode: service:NAME the names are that service's; set it there", theirs[i]);
    return;
  }
  s->hosts = hosts_text(s);
  s->resolv = resolv_text(s);
  s->hostname = pu_asprintf("%s\n", s->hostname_text);
}
