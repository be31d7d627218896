#include "config.h"
#include "caps.h"

#include <strings.h>

#include "../../common/util.h"

static const char *const names[RO_CAPS] = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE"};

const char *ro_cap_name(int bit) { return bit >= 0 && bit < RO_CAPS ? names[bit] : NULL; }

int ro_cap_bit(const char *name) {
  const char *bare = strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;
  for (int i = 0; i < RO_CAPS; i++)
    if (strcasecmp(names[i] + 4, bare) == 0)
      return i;
  return -1;
}

uint64_t ro_caps_default(void) {
  static const char *const fourteen[] = {"CHOWN",  "DAC_OVERRIDE", "FSETID",  "FOWNER",           "MKNOD",      "NET_RAW", "SETGID",
                                         "SETUID", "SETFCAP",      "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",    "AUDIT_WRITE"};
  uint64_t caps = 0;
  for (size_t i = 0; i < PU_COUNT(fourteen); i++)
    caps |= (uint64_t)1 << ro_cap_bit(fourteen[i]);
  return caps;
}

/* *all: the list has "ALL". */
static bool read_list(const json_t *list, const char *key, uint64_t *bits, bool *all, char **why) {
  size_t i;
  json_t *v;
  *bits = 0;
  *all = false;
  json_array_foreach(list, i, v) {
    const char *name = json_is_string(v) ? json_string_value(v) : "";
    int bit = ro_cap_bit(name);
    if (strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0)
      *all = true;
    else if (bit >= 0)
      *bits |= (uint64_t)1 << bit;
    else
      return *why = pu_asprintf("%s: there is no capability \"%.100s\"; NET_ADMIN and ALL are such names", key, name), false;
  }
  return true;
}

bool ro_caps_tweak(const json_t *add, const json_t *drop, uint64_t allowed, uint64_t *out, char **why) {
  uint64_t added, dropped;
  bool add_all, drop_all;
  if (!read_list(add, "cap_add", &added, &add_all, why) || !read_list(drop, "cap_drop", &dropped, &drop_all, why))
    return false;
  for (int i = 0; i < RO_CAPS; i++)
    if (added & ~allowed & (uint64_t)1 << i) {
      *why = pu_asprintf("cap_add: berthd itself lacks %s on this machine, so it cannot give it; leave it out", names[i]);
      return false;
    }
  /* What is added by name stays with "cap_drop: ALL"; with "cap_add: ALL" whatever is dropped by name goes. */
  if (add_all)
    *out = allowed & ~dropped;
  else if (drop_all)
    *out = added;
  else
    *out = ((ro_caps_default() & ~dropped) | added) & allowed;
  return true;
}

json_t *ro_caps_json(uint64_t caps) {
  json_t *out = json_array();
  for (int i = 0; i < RO_CAPS; i++)
    if (caps & (uint64_t)1 << i)
      json_array_append_new(out, json_string(names[i]));
  return out;
}
