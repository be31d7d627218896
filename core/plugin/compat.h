/* Can these plug-ins work together, and with the products behind them? Pure: what manifests declare is held against what was found,
 * and every answer is a sentence. The registry asks before it starts an entry, "berthd --check" before there is a server, and
 * "berth doctor" prints it as a table. O(entries²) for all of them; there are few. */
#ifndef BT_PLUGIN_COMPAT_H
#define BT_PLUGIN_COMPAT_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A configured entry as the others see it. */
struct bt_member {
  const char *name;                /* of the entry */
  const struct berth_manifest *m;  /* NULL: not known yet, or it could not be loaded */
  enum bt_member_state {
    BT_MEMBER_COMING,  /* it is to start */
    BT_MEMBER_RUNS,
    BT_MEMBER_OUT      /* it failed, or is held back itself */
  } state;
  const char *error;               /* why it is out; "" or NULL */
};

enum bt_compat {
  BT_COMPAT_FINE,
  BT_COMPAT_WAITS, /* cannot be said before all manifests are known: *why says for what it waits */
  BT_COMPAT_NO
};

/* May members[i] run beside the others? *why: one sentence with the mend, owned by the caller; untouched where all is fine. Who runs
 * already keeps an exclusive role; else who comes first in the configuration. */
enum bt_compat bt_compat_judge(const struct bt_member *members, size_t n, size_t i, char **why);

/* The table of one member: what its manifest declares, what was found, the verdict ("ok", "warning", "error", or "unknown" of a product that was not seen yet) and the mend: an
 * array of {"element", "declared", "found", "verdict", "mend" (absent where all is well)}. products: {"name": "version"} as its probe
 * found them ("" as the name where the manifest declares one only), or NULL. offers: does this host have the service id? New reference; empty where there is no manifest. */
json_t *bt_compat_table(const struct bt_member *members, size_t n, size_t i, const json_t *products,
                        bool (*offers)(void *arg, const char *service), void *arg);

#endif
