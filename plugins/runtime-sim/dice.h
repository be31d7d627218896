/* Chance without chance: what is drawn depends on the seed, on what is drawn for whom, and on the how-manieth time, and on nothing
 * else, so that the order in which things happen does not matter. Knows nothing of containers. */
#ifndef SIM_DICE_H
#define SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

/* A time in milliseconds, or one between two; the same where low == high. */
struct sim_range {
  int64_t low, high;
};

/* 64 bits of (seed, what, whom, nth). */
uint64_t sim_dice(uint64_t seed, const char *what, const char *whom, uint64_t nth);

/* The same as a number from 0 up to, and without, 1. */
double sim_draw(uint64_t seed, const char *what, const char *whom, uint64_t nth);

/* u of 0 … 1 as a time of the range: evenly, or (tail) mostly near its low end and now and then near the high one. */
int64_t sim_in_range(const struct sim_range *range, double u, bool tail);

/* u of 0 … 1 as the time to the next of what happens per_hour times an hour; -1: never. */
int64_t sim_time_to(double per_hour, double u);

/* 64 hexadecimal digits of a text, the same for ever. Not for secrets: whoever wants two texts with the same digits finds them. */
void sim_hex(const char *what, const char *text, char out[65]);

#endif
