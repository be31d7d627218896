#include "settings.h"

#include "../common/util.h"
#include "../common/reference.h"

static bool known_key(const char *key) {
  static const char *const keys[] = {"username", "password", "identity_token", "mirrors", "ca_file", "insecure"};
  for (size_t i = 0; i < PU_COUNT(keys); i++)
    if (pu_eq(keys[i], key))
      return true;
  return false;
}

static char *read_mirrors(struct ro_registry *r, const json_t *list) {
  size_t i;
  json_t *item;
  if (!list)
    return NULL;
  if (!json_is_array(list) || json_array_size(list) > 16)
    return pu_asprintf("registries: %s: mirrors must be a list of at most 16 hosts", r->name);
  r->mirrors = pu_calloc(json_array_size(list), sizeof *r->mirrors);
  json_array_foreach(list, i, item) {
    if (!json_is_string(item) || !pu_is_host(json_string_value(item)))
      return pu_asprintf("registries: %s: a mirror must be a host as \"mirror.example:5000\", without a scheme", r->name);
    r->mirrors[r->nmirrors++] = pu_strdup(json_string_value(item));
  }
  return NULL;
}

static bool text_or_absent(const json_t *o, const char *key) {
  json_t *v = json_object_get(o, key);
  return !v || (json_is_string(v) && json_string_length(v) < 16384);
}

/* NULL, or a sentence. */
static char *read_registry(struct ro_registry *r, const char *name, const json_t *o) {
  r->name = pu_strdup(pu_registry_canonical(name));
  if (!pu_is_host(name))
    return pu_asprintf("registries: \"%.64s\" must be a host as \"registry.example:5000\", without a scheme", name);
  if (!json_is_object(o))
    return pu_asprintf("registries: %s must be a mapping (username, password, …)", name);
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)o, key, value) {
    if (!known_key(key))
      return pu_asprintf("registries: %s: unknown key \"%.64s\" (there are username, password, identity_token, mirrors, "
                         "ca_file, insecure)",
                         name, key);
  }
  if (!text_or_absent(o, "username") || !text_or_absent(o, "password") || !text_or_absent(o, "identity_token") ||
      !text_or_absent(o, "ca_file"))
    return pu_asprintf("registries: %s: username, password, identity_token and ca_file are strings", name);
  if (!pu_str(o, "username") != !pu_str(o, "password") && !pu_str(o, "identity_token"))
    return pu_asprintf("registries: %s: username and password go together", name);
  if (pu_str(o, "username") && (strchr(pu_str(o, "username"), ':') || !*pu_str(o, "username")))
    return pu_asprintf("registries: %s: a username is not empty and has no colon", name);
  json_t *insecure = json_object_get(o, "insecure");
  if (insecure && !json_is_boolean(insecure))
    return pu_asprintf("registries: %s: insecure is true or false", name);
  if (pu_str(o, "ca_file") && (pu_str(o, "ca_file")[0] != '/' || json_is_true(insecure)))
    return pu_asprintf("registries: %s: ca_file is an absolute path, and does not go with insecure", name);
  r->username = pu_strdup(pu_str(o, "username"));
  r->password = pu_strdup(pu_str(o, "password"));
  r->identity_token = pu_strdup(pu_str(o, "identity_token"));
  r->ca_file = pu_strdup(pu_str(o, "ca_file"));
  r->transport = !insecure ? RO_UNSAID : json_is_true(insecure) ? RO_PLAIN : RO_TLS;
  return read_mirrors(r, json_object_get(o, "mirrors"));
}

bool ro_settings_read(const char *config_json, struct ro_settings *out, char **why) {
  PU_AUTO_JSON config = pu_json_parse(config_json, strlen(config_json));
  *out = (struct ro_settings){.others = pu_bool(config, "others", true), .timeout_ms = pu_int(config, "timeout", 10000),
                              .notify_authorization = pu_strdup(pu_str(config, "notify_authorization"))};
  *why = NULL;
  json_t *registries = json_object_get(config, "registries");
  if (out->notify_authorization && strlen(out->notify_authorization) < 16) {
    *why = pu_strdup("notify_authorization has to have at least 16 characters: it is all that keeps strangers out");
    ro_settings_free(out);
    return false;
  }
  if (registries && !json_is_object(registries)) {
    *why = pu_strdup("registries must be a mapping of hosts to what is known of them");
    return false;
  }
  out->registries = pu_calloc(json_object_size(registries), sizeof *out->registries);
  const char *name;
  json_t *o;
  json_object_foreach(registries, name, o) {
    bool twice = ro_settings_of(out, name) != NULL;
    *why = read_registry(&out->registries[out->n++], name, o);
    if (!*why && twice)
      *why = pu_asprintf("registries: %s stands there twice, under two of its names", name);
    if (*why) {
      ro_settings_free(out);
      return false;
    }
  }
  return true;
}

void ro_settings_free(struct ro_settings *s) {
  for (size_t i = 0; i < s->n; i++) {
    struct ro_registry *r = &s->registries[i];
    free(r->name);
    free(r->username);
    pu_wipe_free(r->password);
    pu_wipe_free(r->identity_token);
    for (size_t k = 0; k < r->nmirrors; k++)
      free(r->mirrors[k]);
    free(r->mirrors);
    free(r->ca_file);
  }
  free(s->registries);
  pu_wipe_free(s->notify_authorization);
  *s = (struct ro_settings){0};
}

const struct ro_registry *ro_settings_of(const struct ro_settings *s, const char *registry) {
  registry = pu_registry_canonical(registry);
  for (size_t i = 0; i < s->n; i++)
    if (pu_eq(s->registries[i].name, registry))
      return &s->registries[i];
  return NULL;
}

bool ro_settings_plain(const struct ro_settings *s, const char *registry) {
  const struct ro_registry *r = ro_settings_of(s, registry);
  if (r && r->transport != RO_UNSAID)
    return r->transport == RO_PLAIN;
  return pu_is_loopback(registry) && !(r && r->ca_file);
}
