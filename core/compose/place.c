#include "config.h"
#include "compose/place.h"

#include "base/buf.h"
#include "base/mem.h"

static void add_place(struct bt_buf *b, const struct bt_place *p) {
  if (p->up)
    add_place(b, p->up);
  if (!p->key)
    bt_buf_addf(b, "[%zu]", p->index);
  else if (*p->key)
    bt_buf_addf(b, "%s%.60s", b->len ? "." : "", p->key);
}

char *bt_place_text(const struct bt_place *place) {
  struct bt_buf b = {0};
  add_place(&b, place);
  return b.len ? bt_buf_steal(&b) : bt_strdup("the file");
}
