/* Whoever breaks things: connections, containers, machines, clocks, the disk, the server. */
#include "config.h"

#include "disk.h"
#include "sim.h"

static struct sim_node *any_node(struct sim *s) { return &s->nodes[sim_rand(s, s->nnodes)]; }

static void kill_box(struct sim *s) {
  struct sim_node *n = any_node(s);
  size_t count = bt_map_len(n->boxes), skip = count ? sim_rand(s, count) : 0;
  for (struct bt_map_iter it = bt_map_iter(n->boxes); bt_map_next(&it);)
    if (skip-- == 0) {
      sim_box_kill(s, it.value);
      return;
    }
}

static void break_link(struct sim *s) {
  struct sim_node *n = any_node(s);
  sim_say(s, "LINK DOWN %s", n->name);
  sim_link_down(s, n, sim_chance(s, 30));
  sim_at(s, (int64_t)sim_rand(s, sim_chance(s, 20) ? 200000 : 20000), SIM_LINK)->node = n;
}

/* It goes up and down. */
static void flap(struct sim *s) {
  struct sim_node *n = any_node(s);
  sim_say(s, "%s FLAPS", n->name);
  sim_link_down(s, n, false);
  sim_at(s, 1 + (int64_t)sim_rand(s, 30), SIM_LINK)->node = n;
}

static void lag(struct sim *s) {
  struct sim_node *n = any_node(s);
  n->lags = !n->lags;
  sim_say(s, "%s %s", n->name, n->lags ? "LAGS" : "is quick again");
}

static void machine(struct sim *s) {
  struct sim_node *n = any_node(s);
  sim_say(s, "MACHINE %s DIES", n->name);
  sim_machine_dies(s, n);
  sim_at(s, 1000 + (int64_t)sim_rand(s, 120000), SIM_LINK)->node = n;
}

static void clocks(struct sim *s) {
  static const int64_t leaps[] = {-3600000, -5000, -1, 700, 60000, 7200000};
  int64_t *clock = sim_chance(s, 50) ? &s->skew_ms : &any_node(s)->skew_ms;
  *clock += leaps[sim_rand(s, BT_COUNT(leaps))];
  sim_say(s, "A CLOCK IS SET: the server's by %lld ms", (long long)s->skew_ms);
}

static void disk(struct sim *s) {
  struct sim_disk_faults *f = sim_disk_faults();
  switch (sim_rand(s, 6)) {
  case 0:
  case 5:
    f->full = true;
    break;
  case 1:
    f->sync_eio = 300000;
    break;
  case 2:
    f->write_eio = 100000;
    break;
  case 3:
    f->read_eio = 50000;
    break;
  default:
    f->sync_eio = f->write_eio = 20000;
    break;
  }
  sim_say(s, "THE DISK %s", f->full ? "IS FULL" : "IS ILL");
  sim_at(s, 100 + (int64_t)sim_rand(s, f->full ? 40000 : 10000), SIM_MEND);
}

void sim_mend(struct sim *s) {
  *sim_disk_faults() = (struct sim_disk_faults){0};
  if (!s->executor)
    return;
  const char *sentence;
  struct bt_store *base = sim_store_base(s->store);
  if (base->ops->health(base, &sentence) == BT_STORE_DOUBT)
    sim_server_stop(s);
}

static void doom(struct sim *s) {
  s->dies_in = 1 + (int64_t)sim_rand(s, sim_chance(s, 50) ? 12 : 120);
  s->power_cut = sim_chance(s, 50);
}

void sim_demon(struct sim *s) {
  static const struct {
    unsigned weight;
    void (*fn)(struct sim *s);
  } works[] = {{30, kill_box}, {12, break_link}, {6, flap}, {4, lag}, {5, machine}, {4, clocks}, {10, disk}, {23, doom}, {4, sim_server_stop}};
  unsigned dice = (unsigned)sim_rand(s, 100);
  for (size_t i = 0; i < BT_COUNT(works); i++) {
    if (dice < works[i].weight) {
      works[i].fn(s);
      return;
    }
    dice -= works[i].weight;
  }
}

void sim_put_right(struct sim *s) {
  sim_request(s, "settings.put", json_deep_copy(s->settings));
  for (size_t i = 0; i < s->nnodes; i++) {
    json_t *args = json_object();
    bt_json_set_str(args, "node", s->nodes[i].name);
    bt_json_set_bool(args, "cordoned", false);
    sim_request(s, "node.cordon", args);
  }
}

void sim_calm(struct sim *s) {
  s->calm = true;
  sim_say(s, "CALM");
  s->dies_in = 0;
  sim_mend(s);
  json_decref(s->settings);
  s->settings = sim_settings(s);
  sim_server_boot(s);
  for (size_t i = 0; i < s->nnodes; i++) {
    s->nodes[i].lags = false;
    sim_at(s, 0, SIM_LINK)->node = &s->nodes[i];
  }
  sim_put_right(s);
}
