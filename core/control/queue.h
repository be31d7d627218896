/* Between queue.c, preempt.c and who asks them only: what waits for places, and places that are kept for some of it. */
#ifndef BT_CONTROL_QUEUE_H
#define BT_CONTROL_QUEUE_H

#include "base/vec.h"
#include "control/tables.h"
#include "plan/queue.h"

/* A service with instances that could begin, had they a place. */
struct ctl_wait {
  struct ctl_service *service;
  size_t n;         /* instances, as of the last look at the app, less those that got a place since */
  int64_t since_ms; /* the oldest of them was made */
  char *why;        /* in words, as of the last look; NULL: not looked at yet */
  uint64_t said;    /* the generation that they are of */
  size_t at;        /* of its instances: those before were seen in this look */
  bool gang;        /* all of them or none */
  bool limited;     /* its namespace's quota keeps it from its place */
  bool kept;        /* a place is reserved for it, as of the last look */
  bool stale;       /* its app was not looked at since something happened to it, as of the beginning of this look */
  bool fresh;       /* some of them were not told why they wait */
  bool barred;      /* a place that others left for it turned out not to do: none does again */
  uint64_t in_vain; /* at this generation nobody would leave for it */
};

/* A place that is taken in the fleet for an instance that will have it later: when those have left that gave it up, or jobs have ended. */
struct ctl_hold {
  struct ctl_service *service;
  struct ctl_spec *spec;
  uint32_t seat;
  bool reserved; /* until jobs end; made anew in each look */
  char *why;     /* what it waits for, in words */
};

struct ctl_queue {
  BT_VEC(struct ctl_wait *) waits;
  BT_VEC(struct ctl_hold) holds;
  uint64_t epoch, budgets; /* of the fleet, when all of them were tried */
  uint64_t generation;     /* grows when anything came free or may be spared */
  int64_t looked_ms, again_ms;
  int64_t nobody_ms; /* when somebody waited last while no node was ready */
  size_t lent_back;  /* reservations that were let go since the end of the last look, most of which are made again */
  bool changed; /* somebody is new, or not all were tried */
};

/* Of what waits: its priority, as its own namespace and as others see it. */
struct ctl_rank {
  int priority; /* in its namespace */
  int outward;  /* as others see it: at most what the operator gave the namespace */
  bool given;   /* the operator gave it one */
};
struct ctl_rank ctl_rank(const struct ctl_spec *spec);
/* The pending instance of the service that is next to get a place, from wait->at on; NULL: none is left. */
struct ctl_inst *ctl_wait_next(struct ctl_wait *wait);
/* Places that are its own as soon as others have left them; without reservations. */
size_t ctl_holds_of(const struct bt_control *c, const struct ctl_service *service);
/* The same and its reservations: all that its quota already has for those who have no place. */
size_t ctl_kept_of(const struct bt_control *c, const struct ctl_service *service);

/* ---- preempt.c ---- */
/* Finds places for n instances of the service that others of lower priority give up, all or none, and tells those to leave. True: there are
 * n holds more. tries: searches that this look may still make. */
bool ctl_preempt(struct ctl_wait *wait, struct ctl_spec *spec, size_t n, int *tries);
/* A trial: the places that ctl_preempt would find, one after the other; nobody is told to leave. */
struct ctl_picks;
struct ctl_picks *ctl_picks_new(struct bt_control *c);
/* One more for an instance of the spec: its seat, which is taken in the fleet, and who leaves it: n of them (0: who leaves already), borrowed until the next
 * call. The caller gives the seat back, and takes the places of those who leave (ctl_fleet_release), which it gives back, too. False: there is none. */
bool ctl_picks_next(struct ctl_picks *picks, struct ctl_spec *spec, uint32_t *seat, struct ctl_inst *const **who, size_t *n);
void ctl_picks_free(struct ctl_picks **picks); /* when all of that is given back */
/* Keeps places for n instances where jobs will end; all or none. */
bool ctl_reserve(struct ctl_wait *wait, struct ctl_spec *spec, size_t n);
/* The place number i is kept no longer: the fleet and the quota have it back. Those after it move up. */
void ctl_hold_drop(struct bt_control *c, size_t i);
/* Drops holds that nobody needs any more or that cannot come true, gives those to instances whose room is there, and lets go of all
 * reservations. False: the step had no room for all of it. */
bool ctl_holds_settle(struct bt_control *c);

#endif
