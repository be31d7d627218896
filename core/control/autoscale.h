/* Between autoscale.c and autoscale_forms.c only: what a service that scales by itself has beside its instances. */
#ifndef BT_CONTROL_AUTOSCALE_H
#define BT_CONTROL_AUTOSCALE_H

#include "control/internal.h"
#include "plan/autoscale.h"

/* What a metric was when last looked at. */
struct ctl_value {
  double value;
  int measured;
  char *missing; /* why there is none; NULL */
};

/* Some 2.5 KB. */
struct ctl_scaler {
  int number;         /* in force; -1: the file's, until it begins */
  int before;         /* what it was before the last change */
  int64_t since_ms;   /* the last change, by control's own clock; 0: none */
  char *why;          /* of that change */
  struct bt_scale_past past;
  /* not stored */
  struct bt_scale_out last; /* of the last look */
  struct ctl_value values[BT_SCALE_MOST_METRICS];
  int64_t looked_ms, next_ms; /* 0: not yet */
  uint64_t call;      /* under way; 0: none */
  int revision;       /* whose metrics the values are of */
  int missing;        /* looks without a value in a row */
  bool told;          /* that values are missing */
};

struct ctl_scaler *ctl_scaler_get(struct ctl_service *service); /* makes it where absent */
/* The file says 0: it is off, until the file or "berth scale" says another number. */
bool ctl_scaler_off(const struct ctl_service *service);
void ctl_scaler_move(struct ctl_service *service, int to, const char *why, const char *actor); /* actor NULL: itself */

#endif
