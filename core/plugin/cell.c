/* Host cells: what plug-ins hold of their entry; and the one lock between the loop and their threads. The server and the helper
 * process have them alike. */
#include "config.h"

#include "base/log.h"
#include "plugin/complain.h"
#include "plugin/internal.h"

static struct bt_host_cell *cells; /* process-wide: see struct bt_host_cell */
static pthread_mutex_t inbox_mutex = PTHREAD_MUTEX_INITIALIZER;

void bt_inbox_lock(void) { pthread_mutex_lock(&inbox_mutex); }
void bt_inbox_unlock(void) { pthread_mutex_unlock(&inbox_mutex); }

struct bt_host_cell *bt_host_cell_new(struct bt_plugin *entry, const char *name, const char *version,
                                      const void *(*service)(const struct berth_host *host, const char *id)) {
  struct bt_host_cell *cell = bt_new(struct bt_host_cell);
  cell->name = bt_strdup(name);
  cell->label = bt_asprintf("plugin/%s", name);
  cell->entry = entry;
  cell->loop_thread = pthread_self();
  cell->host = (struct berth_host){.size = sizeof cell->host,
                                   .abi = BERTH_ABI,
                                   .version = bt_strdup(version),
                                   .name = cell->name,
                                   .service = service,
                                   .impl = cell};
  bt_inbox_lock();
  cell->next = cells;
  cells = cell;
  bt_inbox_unlock();
  return cell;
}

struct bt_plugin *bt_host_entry(const struct berth_host *host, const char *what) {
  const struct bt_host_cell *cell = (const struct bt_host_cell *)host;
  if (!pthread_equal(pthread_self(), cell->loop_thread)) {
    bt_complain(host, "called %s from another thread than the loop's; ignored", what);
    return NULL;
  }
  return cell->entry;
}

struct bt_plugin *bt_host_entry_live(const struct berth_host *host, const char *what) {
  struct bt_plugin *entry = bt_host_entry(host, what);
  return entry && !entry->stopping ? entry : NULL;
}

/* ---------------------------------------------------------------- codes */

enum bt_code bt_plugin_code(enum berth_code code) {
  static const enum bt_code codes[] = {BT_OK,        BT_INVALID,   BT_NOT_FOUND,   BT_CONFLICT, BT_UNAUTHENTICATED,
                                       BT_DENIED,    BT_UNSUPPORTED, BT_TOO_LARGE, BT_EXHAUSTED, BT_UNAVAILABLE,
                                       BT_DEADLINE,  BT_CANCELLED, BT_IO,          BT_INTERNAL};
  return (unsigned)code < BT_COUNT(codes) ? codes[code] : BT_INTERNAL;
}

enum berth_code bt_plugin_code_out(enum bt_code code) {
  if (code == BT_PRECONDITION)
    return BERTH_CONFLICT;
  if (code == BT_NO_SPACE)
    return BERTH_EXHAUSTED;
  for (int c = BERTH_OK; c <= BERTH_INTERNAL; c++)
    if (bt_plugin_code((enum berth_code)c) == code)
      return (enum berth_code)c;
  return BERTH_INTERNAL;
}
