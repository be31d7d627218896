/* Planted bugs, to see whether the simulator finds them (tests/sim/planted). Only a build with --enable-planted has them; in every other
 * one BT_PLANT is the constant 0, and what hangs on it is gone. Each is a mistake that somebody could make, or made: "once" says that it
 * was a bug of ours. A place in the code reads: if (BT_PLANT(NAME) || what is right). */
#ifndef BT_BASE_PLANT_H
#define BT_BASE_PLANT_H

/* X(name, what is wrong) */
#define BT_PLANTS(X)                                                                                   \
  /* executor, store, feed */                                                                          \
  X(ACK_EARLY, "a change is acknowledged before it is on the disk")                                   \
  X(KEEP_REFUSED, "control keeps what the store refused")                                             \
  X(FORGET_TO_ANSWER, "a refused change is not answered")                                             \
  X(NO_SYNC, "a commit is not synced")                                                                \
  X(SPLIT_BATCH, "a batch is written in two transactions")                                            \
  X(IGNORE_DOUBT, "a commit that failed is acknowledged")                                             \
  X(IGNORE_FULL, "a commit for which there was no room is acknowledged")                              \
  X(OLD_MARK, "the revision on the disk is that of a group's first commit")                           \
  X(FEED_AGAIN, "who resumes is told the last revision again")                                        \
  X(FEED_NO_GAP, "who was away for too long is not told of the gap")                                  \
  X(FEED_KEEPS, "watchers are not told of what is deleted")                                           \
  X(FEED_SKIPS, "who pauses misses an entry")                                                         \
  /* places */                                                                                         \
  X(SEATS_FORGOTTEN, "after a start nodes are thought empty")                                         \
  X(MEMORY_UNCOUNTED, "memory is not counted")                                                        \
  X(SEAT_GIVEN_EARLY, "who leaves gives its place back before it is gone")                            \
  X(CORDON_IGNORED, "a cordoned node takes new instances")                                            \
  X(DEAD_NODE_OPEN, "a node without a connection takes new instances")                                \
  X(QUOTA_IGNORED, "a namespace holds more than its quota")                                           \
  X(QUOTA_ALONE, "the quotas of the namespaces above are not asked")                                  \
  X(DEVICE_SHARED, "a device that somebody has is given to others")                                   \
  X(DEVICES_FORGOTTEN, "after a start nobody is thought to have devices")                             \
  X(BUDGET_IGNORED, "more of a service is taken down for others than it can spare")                   \
  X(PREEMPT_EQUAL, "who is of the same priority is pushed out")                                       \
  X(PRIORITY_UNCAPPED, "other namespaces see a priority as it is written")                            \
  X(NEEDED_PUSHED, "once: a service pushes out what it depends on")                                   \
  X(MOVE_EARLY, "who makes way goes before its replacement serves")                                   \
  /* instances */                                                                                      \
  X(RELEASE_LOST, "a release is not sent again after a connection ended")                             \
  X(LEAVING_MADE, "once: an agent that starts anew makes again what leaves")                          \
  X(REPORT_UNSAVED, "what a node reports is not stored")                                              \
  X(GHOST, "an instance that is gone stays in the store")                                             \
  X(ID_AGAIN, "ids are given again after a start")                                                    \
  X(GATE_OPEN, "nobody waits for dependencies")                                                       \
  X(SLOT_SHARED, "a successor begins before the old one has stopped")                                 \
  X(NETWORK_GONE, "a network is dropped while instances use it")                                      \
  /* apps and jobs */                                                                                  \
  X(NO_WAY_BACK, "once: an update with nothing to go back to is deploying for ever")                  \
  X(GREEN_EARLY, "requests are switched before all new instances stand")                              \
  X(KEEP_SHORT, "the old instances go at the switch")                                                 \
  X(CANARY_HURRIES, "a canary's steps do not pause")                                                  \
  X(ABORT_UNHEARD, "an update that is aborted goes on")                                               \
  X(SCALE_UNBOUND, "a number that follows a metric leaves its bounds")                                \
  X(DELAY_LOST, "nobody wakes up when an update's delay is over")                                     \
  X(RESOLVE_LOST, "a revision that was being resolved is forgotten at a start")                       \
  X(RUN_TWICE, "a job does again what is done")                                                       \
  X(DUE_TWICE, "a schedule forgets at a start what was due already")                                  \
  X(DRY_RUN_ACTS, "a dry run of a restart restarts")                                                  \
  X(EVENT_IDS, "events' ids begin anew at a start")                                                   \
  X(REVISIONS_LEFT, "a removed app's revisions stay in the store")

enum bt_plant {
  BT_PLANT_NONE,
#define BT_PLANT_ENUM(name, words) BT_PLANT_##name,
  BT_PLANTS(BT_PLANT_ENUM)
#undef BT_PLANT_ENUM
      BT_PLANT_COUNT
};

#ifdef BERTH_PLANTED
extern enum bt_plant bt_planted; /* the one in force */
#define BT_PLANT(name) __builtin_expect(bt_planted == BT_PLANT_##name, 0)
#else
#define BT_PLANT(name) 0
#endif

#endif
