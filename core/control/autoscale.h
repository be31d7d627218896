/* Between autoscale.c and autoscale_forms.c only: what a service that scales by itself has beside its instances. */
#ifndef BT_CONTROL_AUTOSCALE_H
#define BT_CONTROL_AUTOSCALE_H

#include "control/internal.h"
#include "plan/autoscale.h"
#include "plan/usage.h"

/* What a metric was when last looked at. */
struct ctl_value {
  double value;
  int measured;
  char *missing; /* why there is none; NULL */
};

/* Reservations that were put in place of the file's. */
struct ctl_reserved {
  double cpus, file_cpus;
  int64_t memory, file_memory;
  int revision;   /* that has them first; 0: none are in force */
  int64_t at_ms;  /* by the wall clock */
};

/* Some 2.5 KB, and 1.5 where its use is watched. */
struct ctl_scaler {
  int number;         /* in force; -1: the file's, until it begins */
  int before;         /* what it was before the last change */
  int64_t since_ms;   /* the last change, by control's own clock; 0: none */
  char *why;          /* of that change */
  struct bt_scale_past past;
  struct bt_usage *usage; /* where its use is watched; NULL */
  struct ctl_reserved reserved;
  /* not stored */
  int64_t kept_ms;    /* when its use was stored last, by control's own clock */
  uint64_t proposal;  /* of other reservations, under way; 0: none */
  char *refused;      /* why the last one was; NULL */
  struct bt_scale_out last; /* of the last look */
  struct ctl_value values[BT_SCALE_MOST_METRICS];
  int64_t looked_ms, next_ms; /* 0: not yet */
  uint64_t call;      /* under way; 0: none */
  int revision;       /* whose metrics the values are of */
  int missing;        /* looks without a value in a row */
  bool told;          /* that values are missing */
};

/* vertical.c */
void ctl_vertical_take(struct ctl_service *service, const json_t *usage); /* samples of a look; may propose other reservations */
void ctl_vertical_settle(struct ctl_service *service);
bool ctl_vertical_done(struct ctl_service *service, const struct bt_input *in); /* false: not its proposal */
json_t *ctl_vertical_view(const struct ctl_service *service);                   /* NULL where its use is not watched */
void ctl_vertical_json(const struct ctl_service *service, json_t *stored);      /* adds what is kept of it */
void ctl_vertical_load(struct ctl_service *service, const json_t *stored);

struct ctl_scaler *ctl_scaler_get(struct ctl_service *service); /* makes it where absent */

#endif
