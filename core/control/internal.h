/* Between the modules of core/control only: what the controllers share, by the file that has it. */
#ifndef BT_CONTROL_INTERNAL_H
#define BT_CONTROL_INTERNAL_H

#include "control/dims.h"
#include "control/tables.h"

/* ---- judge.c: the operator's policies on places ---- */
void ctl_judge_take(struct bt_control *c); /* at the start */
void ctl_judge_changed(struct bt_control *c, const struct bt_request *request);
void ctl_judge_forget(struct bt_control *c, const struct ctl_spec *spec); /* that is about to go; NULL: whichever */

/* ---- way.c: blue-green and canary ---- */
const struct bt_way *ctl_way(const struct ctl_service *service); /* of the rollout that goes on; NULL: rolling */
/* Tells the routes and the events where the way went on. */
void ctl_way_noted(struct ctl_service *service, const struct bt_rollout *before);
void ctl_way_ask(struct bt_control *c, const struct bt_request *request); /* app.rollout */
/* Another revision comes, with that spec: what stayed after a switch goes, unless it is what comes back. */
void ctl_way_left(struct ctl_service *service, const struct ctl_spec *next);
char *ctl_way_words(const struct ctl_service *service, int64_t now_ms); /* NULL: nothing to say; the caller frees. now_ms: control's */
void ctl_way_json(const struct ctl_service *service, json_t *rollout);  /* stored, and shown */
void ctl_way_load(struct ctl_service *service, const json_t *rollout);
bool ctl_way_aborted(const struct ctl_app *app); /* whether somebody said that it goes back */
/* Whether routes tell this instance from the new ones. */
bool ctl_way_old(const struct ctl_inst *inst);
/* ---- simulate.c ---- */
void ctl_simulate(struct bt_control *c, const struct bt_request *request);

/* ---- settings.c: what berthd.yaml says of pools and scheduling ---- */
void ctl_settings_take(struct bt_control *c, const json_t *settings); /* at the start, when there is nothing yet */
void ctl_settings_put(struct bt_control *c, const struct bt_request *request);
void ctl_settings_free(struct bt_control *c);

/* ---- quota.c, quota_admit.c, quota_view.c: what namespaces may use; see quota.h ---- */
void ctl_quota_take(struct bt_control *c, const json_t *section); /* of berthd.yaml; at the start, too */
void ctl_quota_free(struct bt_control *c);
void ctl_quota_app_new(struct ctl_app *app);
void ctl_quota_app(struct ctl_app *app);      /* it changed: what it claims is reckoned anew */
void ctl_quota_loaded(struct bt_control *c);  /* all apps and volumes are there */
void ctl_quota_app_gone(struct ctl_app *app); /* it is about to be freed */
void ctl_quota_held(const struct ctl_inst *inst); /* it took its place, gives it back */
void ctl_quota_gone(const struct ctl_inst *inst);
void ctl_quota_keep(struct ctl_app *app, const struct ctl_spec *spec, bool kept); /* the same for a place that is kept for one that is to come */
/* The place is kept no longer, for now: nobody is told, or each look at the queue would be the reason for the next. ctl_quota_look tells all who wait. */
void ctl_quota_lent_back(struct ctl_app *app, const struct ctl_spec *spec);
void ctl_quota_look(struct bt_control *c);
void ctl_quota_volume(struct bt_control *c, const struct ctl_res *res, bool there); /* a volume of an app came, is about to go */
/* Whether an instance may take a place now; else why it waits (always the same words for the same limit), and its app is looked at again when
 * something came free. */
bool ctl_quota_may(const struct ctl_inst *inst, char *why, size_t size);
/* The same for one that is to ask for what another spec does, in place of its own. */
bool ctl_quota_may_change(const struct ctl_inst *inst, const struct ctl_spec *to, char *why, size_t size);
/* Whether the service's namespace, or one above it, holds more than its quota: then its instances are not replaced, which would end them. */
bool ctl_quota_over(struct ctl_service *service);
/* Fills in what the services of a canonical model say nothing of; a new reference, of another object where something was filled in. *filled: [{"service",
 * "namespace", "path", "value"}], or NULL. */
json_t *ctl_quota_fill(const struct bt_control *c, const char *ns, json_t *model_steal, json_t **filled);
/* -1 with BT_DENIED where the revision asks for more than there is, or for instances that are not allowed. */
int ctl_quota_check(const struct ctl_rev *rev, struct bt_err **err) BT_CHECK;
int ctl_quota_run(const struct ctl_service *service, struct bt_err **err) BT_CHECK; /* the same for a job that somebody wants to run now */
json_t *ctl_quota_list(const struct bt_control *c, const struct bt_query *query, char **next); /* rows of objects.md */
/* Why instances of the service wait for a quota, and what to try; false where they do not. */
bool ctl_quota_why(const struct ctl_service *service, struct bt_buf *why, struct bt_buf *next);

/* ---- fleet.c ---- */
/* The rules changed by which instances choose nodes: all shapes are made anew, and everyone keeps the place there is. Linear in instances. */
void ctl_fleet_renew(struct bt_control *c);
void ctl_fleet_node(struct bt_control *c, struct ctl_node *node);    /* tells the planner what the node is and has now */
bool ctl_node_open(const struct ctl_node *node); /* it takes new instances */
size_t ctl_fleet_hosts(struct ctl_spec *spec);   /* nodes that take the spec by its rules, whatever is free there */
size_t ctl_fleet_hosts_of(struct ctl_spec *spec, uint32_t *out); /* the same; writes their numbers: room for all nodes */
const struct bt_pool *ctl_fleet_pool(const struct bt_control *c, const struct ctl_node *node); /* NULL: of none */
/* Finds a node for an instance that has none, and takes the place; NULL: there is none. */
struct ctl_node *ctl_fleet_place(struct ctl_inst *inst);
/* The same on that node, where it may be there. */
struct ctl_node *ctl_fleet_place_at(struct ctl_inst *inst, uint32_t node);
/* Holds its place, or gives it back, as it is: it holds one while it has a node, and until a job's attempt has ended. */
void ctl_fleet_hold(struct ctl_inst *inst);
void ctl_fleet_release(struct ctl_inst *inst);
/* Whether its node has room for what the other spec needs in its own's place; where it has not, why says so. Rules of where it may be are not asked. */
bool ctl_fleet_fits(const struct ctl_inst *inst, struct ctl_spec *to, struct bt_buf *why);
/* Takes up to n places for instances that are none yet; returns how many. The caller gives each back (ctl_fleet_untry) within the step. */
size_t ctl_fleet_try(struct ctl_spec *spec, size_t n, uint32_t *out);
void ctl_fleet_untry(struct bt_control *c, uint32_t seat); /* gives such a place back */
/* The rule by which a node is chosen for the spec, in words: a literal. */
const char *ctl_fleet_rule(const struct ctl_spec *spec);
/* Why there is no place for a further instance of the spec, and what would mend it ("" where nothing small would). */
void ctl_fleet_why(struct ctl_spec *spec, struct bt_buf *why, struct bt_buf *mend);
void ctl_fleet_forget(struct ctl_spec *spec);
void ctl_fleet_unplace(struct ctl_inst *inst, struct ctl_node *node); /* the place that it was found, which it was not assigned to */
struct ctl_node *ctl_seat_node(const struct bt_control *c, uint32_t seat);
/* Of those that live with others: what all of them need. Makes it where absent; BT_FLEET_NONE: it cannot be made. */
uint32_t ctl_fleet_shape(struct ctl_spec *spec);
/* A shape that needs what all of the specs do, each so many times, and otherwise is the first one's. -1: there is none. */
int ctl_fleet_shape_of_all(struct ctl_spec *const *specs, const int *times, size_t n, uint32_t *out);

/* ---- budget.c ---- */
/* How many instances of the service that serve may go now for others' needs (drain, rebalancing, preemption); INT32_MAX: any number. Linear in
 * its instances. Whoever takes some asks again before the next. */
int ctl_budget(const struct ctl_service *service);
/* Tells the planner (bt_fleet_budget) so; each look at an app does it for its services. */
void ctl_budget_tell(const struct ctl_service *service);

/* ---- queue.c, preempt.c: who waits for places ---- */
/* Whether its instances that have no place may look for one at once; else they wait for their turn in the queue. */
bool ctl_queue_passes(struct ctl_service *service);
/* So many instances of it wait for a place; since: the oldest of them was made; news: some were not tried yet. Tells in service->blocked what waiting alone will not mend. */
void ctl_queue_set(struct ctl_service *service, size_t n, int64_t since_ms, bool news);
void ctl_queue_look(struct bt_control *c); /* tries those that wait, where anything changed; lowers c->wake_ms to the next time */
void ctl_queue_forget(struct ctl_service *service);
void ctl_queue_forget_spec(const struct ctl_spec *spec); /* no place is kept for instances of it */
void ctl_queue_lift(struct bt_control *c);               /* no place is kept for anybody; they are found again */
void ctl_queue_free(struct bt_control *c);
/* Where it stands in the queue, for people; the caller frees; NULL: it does not wait. now_ms: control's. */
char *ctl_queue_words(struct ctl_service *service, int64_t now_ms);
char *ctl_preempted_words(const struct ctl_service *service, int64_t *at_ms); /* the last of its instances that had to leave, while some have no place; as above */
/* Who of its namespace left its node for one of its service, while it waited for its place there; as above. *at_ms: wall clock. */
char *ctl_preempts_words(const struct ctl_inst *inst, int64_t *at_ms);
void ctl_holds_unreserve(struct bt_control *c);     /* places that are kept until jobs end may be had until the next look */
/* ---- inplace.c: other limits and reservations without another container ---- */
/* One look at a service before its rollout: instances that differ from its spec in nothing but that take it over, with their node's room in the same
 * step. False: some have to wait for the next step, and nothing may be decided about them before. */
bool ctl_inplace_step(struct ctl_service *service);
/* Of a report: the node has changed it, or could not. Whether anything is new. */
bool ctl_inplace_report(struct ctl_inst *inst, const json_t *report);
/* Of a hello that does not name it. What has ended, and its agent does not know, has nobody who would answer: should it start again, it is made of what it is to have. */
void ctl_inplace_unheard(struct ctl_inst *inst);
/* Whether nothing is to be decided about it until its change is through. */
bool ctl_inplace_waits(const struct ctl_inst *inst);
/* Of a plan's step for a service: says what changes in place, and what is replaced nevertheless, and why. Linear in its instances. */
void ctl_inplace_plan(json_t *plan, const struct ctl_rev *from, const struct ctl_rev *to);
/* Whether it would be changed in place to be what that spec says, now; else why it is replaced. *why may stay empty. */
bool ctl_inplace_may(const struct ctl_inst *inst, struct ctl_spec *to, struct bt_buf *why);
char *ctl_inplace_words(const struct ctl_inst *inst); /* what of a change is to be said; the caller frees; NULL: nothing */
const char *ctl_inplace_name(int inplace);            /* stored; NULL: none */
int ctl_inplace_of(const char *name);

/* ---- moves.c: instances that make way for a replacement elsewhere ---- */
void ctl_move_free(void *move);
struct ctl_move *ctl_move_of(const struct ctl_inst *inst); /* NULL: it stays */
const char *ctl_move_cause(const struct ctl_inst *inst);   /* the stored form; NULL */
void ctl_move_load(struct bt_control *c, const struct ctl_inst *inst, const char *cause); /* cause may be NULL: none */
const struct ctl_inst *ctl_move_successor(const struct ctl_inst *inst); /* the other one of its slot; NULL: none */
struct ctl_node *ctl_move_target(const struct ctl_inst *inst); /* where a replacement is meant to go; NULL: anywhere */
/* What ties it to its node, in words; NULL: nothing. The caller frees. */
char *ctl_bound(const struct ctl_inst *inst);
/* Begins to move it: NULL, or why it cannot (now); the caller frees. to: NULL: anywhere else. why: for people. *lasting: waiting will not help. */
char *ctl_move_begin(struct ctl_inst *inst, enum ctl_move_cause cause, const struct ctl_node *to, const char *why, bool *lasting);
void ctl_moves_step(struct ctl_service *service); /* one look */

/* ---- vacate.c: nodes that are drained ---- */
void ctl_vacate_free(struct ctl_vacate **vacate);
struct ctl_node *ctl_vacating(const struct ctl_inst *inst); /* its node, where that is being drained; else NULL */
json_t *ctl_vacate_json(const struct bt_control *c, const struct ctl_node *node); /* stored; of a node that has one */
json_t *ctl_vacate_view(const struct bt_control *c, const struct ctl_node *node);
void ctl_vacate_load(struct bt_control *c, struct ctl_node *node, const json_t *stored);
const char *ctl_vacate_stay(const struct ctl_inst *inst); /* why it is still there; NULL */
void ctl_vacate_service(struct ctl_service *service);
void ctl_vacate_gone(const struct ctl_inst *inst); /* it is about to be deleted */
void ctl_vacates_look(struct bt_control *c);       /* tells which are through */
void ctl_vacate_cancel(struct bt_control *c, struct ctl_node *node);
void ctl_node_drain(struct bt_control *c, const struct bt_request *request);

/* ---- rebalance.c ---- */
void ctl_rebalance_due(struct bt_control *c);  /* nodes came or changed */
void ctl_rebalance_tick(struct bt_control *c); /* when it is time; lowers c->wake_ms */

/* ---- lost.c: nodes that are given up ---- */
/* Whether its place is given up: its node is, and nothing ties it to that. */
bool ctl_inst_lost(const struct ctl_inst *inst);
void ctl_lost_replaced(const struct ctl_inst *by); /* it has a place: who had its slot and is lost is to go */
void ctl_node_dirty(const struct ctl_node *node); /* all apps that have instances there */
void ctl_lost_news(struct bt_control *c); /* a node came or went */
void ctl_lost_tick(struct bt_control *c); /* when it is time; lowers c->wake_ms */
void ctl_lost_start(struct bt_control *c);
void ctl_node_back(struct bt_control *c, struct ctl_node *node); /* before its hello is answered */
const char *ctl_lost_words(const struct ctl_node *node); /* what becomes of one that is not connected; NULL: nothing to say */

/* ---- tables.c ---- */
struct ctl_app *ctl_app_find(const struct bt_control *c, const char *ns, const char *name);
struct ctl_app *ctl_app_new(struct bt_control *c, const char *ns, const char *name);
void ctl_app_delete(struct ctl_app *app); /* from the tables and, within a step, from the store */
void ctl_app_free(void *app);
struct ctl_service *ctl_service_find(const struct ctl_app *app, const char *name);
struct ctl_service *ctl_service_get(struct ctl_app *app, const char *name); /* makes it where absent */
void ctl_service_delete(struct ctl_service *service);                        /* without instances */
struct ctl_inst *ctl_inst_new(struct ctl_service *service, struct ctl_spec *spec, int slot);
struct ctl_inst *ctl_inst_alloc(const char *id); /* of nothing yet */
void ctl_inst_free(struct bt_control *c, struct ctl_inst *inst);
void ctl_inst_attach(struct ctl_service *service, struct ctl_spec *spec, struct ctl_inst *inst_steal); /* into the tables */
void ctl_inst_delete(struct ctl_inst *inst);
void ctl_inst_seat(struct ctl_inst *inst, struct ctl_node *node);   /* gives it a place and takes the node's resources */
struct ctl_node *ctl_node_get(struct bt_control *c, const char *name);
void ctl_node_describe(struct ctl_node *node, json_t *info_steal); /* by its own words */
void ctl_node_free(void *node);
void ctl_touch_inst(struct ctl_inst *inst);
void ctl_touch_app(struct ctl_app *app);
void ctl_touch_rev(struct ctl_rev *rev);
void ctl_dirty(struct ctl_app *app); /* the app's controller looks at it at the end of the step */
void ctl_put(struct bt_control *c, const char *kind, const char *key, json_t *value_steal);
void ctl_del(struct bt_control *c, const char *kind, const char *key);
void ctl_send(struct bt_control *c, const char *node, json_t *message_steal);
void ctl_send_to(struct bt_control *c, const struct ctl_node *to, json_t *message_steal); /* NULL: nobody */
void ctl_broadcast(struct bt_control *c, json_t *message_steal); /* to every connected node */
void ctl_set_state(struct ctl_app *app, enum ctl_app_state state, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ctl_wake(struct ctl_app *app, int64_t at_ms);
const char *ctl_app_state_name(enum ctl_app_state state);

/* ---- inst_row.c: stored instances, which wait for the last load ---- */
int ctl_inst_load(struct bt_control *c, const char *text, size_t len, struct bt_err **err) BT_CHECK;
void ctl_insts_loaded(struct bt_control *c);
void ctl_waiting_free(struct bt_control *c);

/* ---- forms.c: stored forms, which are what readers see ---- */
json_t *ctl_inst_json(const struct ctl_inst *inst); /* inst_text.c, as the next two */
char *ctl_inst_text(const struct ctl_inst *inst);   /* the same as text; the caller frees */
char *ctl_inst_stored(const struct ctl_inst *inst); /* what is stored of it: without what is null, 0, false or empty */
const char *ctl_health_name(int health);
json_t *ctl_app_json(const struct ctl_app *app);
json_t *ctl_rev_json(const struct ctl_rev *rev);
char *ctl_rev_text(const struct ctl_rev *rev); /* its JSON; the model's text, which is the most of it, is not made again */
json_t *ctl_res_json(const struct ctl_res *res);
json_t *ctl_node_json(const struct bt_control *c, const struct ctl_node *node);
void ctl_set_time(json_t *obj, const char *key, int64_t ms); /* null where 0 */
int64_t ctl_get_time(const json_t *obj, const char *key);
/* Between the wall clock, which readers see and the store keeps, and control's own. 0 (never) stays 0. */
int64_t ctl_to_wall(const struct bt_control *c, int64_t own_ms);
int64_t ctl_from_wall(const struct bt_control *c, int64_t wall_ms);
int64_t ctl_wall(const struct bt_control *c); /* now, for what is recorded once and never compared with now_ms */
const char *ctl_rev_state_name(enum ctl_rev_state state);
json_t *ctl_service_roll_json(const struct ctl_service *service);
int ctl_app_state_of(const char *name); /* -1 for an unknown name */
int ctl_rev_state_of(const char *name);
int ctl_health_of(const char *name);

/* ---- revision.c ---- */
struct ctl_rev *ctl_rev_find(const struct ctl_app *app, int number);
struct ctl_rev *ctl_rev_latest(const struct ctl_app *app);
/* The revisions whose claims of the machine (ports, routes) are the app's: what it runs; what was accepted while its images are still asked for, else
 * two that come in the same moment get the same; and while a rollout goes on, what it may go back to. Returns how many. */
enum { CTL_CLAIMS = 3 };
size_t ctl_rev_claims(const struct ctl_app *app, const struct ctl_rev *out[CTL_CLAIMS]);
struct ctl_rev *ctl_rev_new(struct ctl_app *app, int number);
/* Parses the model into specs where that was not done; -1 where it is not valid. */
int ctl_rev_load(struct ctl_rev *rev, struct bt_err **err) BT_CHECK;
void ctl_rev_free(struct ctl_rev *rev);
struct ctl_spec *ctl_spec_find(const struct ctl_rev *rev, const char *service);
const struct ctl_named *ctl_rev_named(const struct ctl_rev *rev, const char *service); /* NULL where nobody says anything about it */
bool ctl_rev_same_links(const struct ctl_rev *a, const struct ctl_rev *b); /* whether they give the same names to the same services */
/* Takes a model that is known to be JSON text's equal, instead of parsing the text. Steals it, also where it is not valid. */
int ctl_rev_load_model(struct ctl_rev *rev, json_t *model_steal, struct bt_err **err) BT_CHECK;
/* "web (compose.yaml:12)": a service as a refusal names it, with its place where that is known. The caller's. */
char *ctl_rev_service_words(const struct ctl_rev *rev, const char *name);
/* Puts the service's place, where it is known, before an error that names the service without it: "compose.yaml:12: service web …". Always -1. */
int ctl_rev_placed(const struct ctl_rev *rev, const char *name, struct bt_err **err);
void ctl_rev_set_state(struct ctl_rev *rev, enum ctl_rev_state state, const char *reason);
bool ctl_revs_prune(struct ctl_app *app); /* true where one was forgotten */

/* ---- spec.c: from a service to what a node gets ---- */
/* The key by which a node asks for a content ("secrets" or "configs", name in the model): with the fingerprint for what belongs to
 * the app, so that going back finds the content of then. The caller frees. */
char *ctl_content_key(const struct ctl_rev *rev, const char *kind, const char *source);
void ctl_spec_pin(struct ctl_spec *spec, const json_t *result, int64_t now_ms); /* result of image.resolve or image.build */
json_t *ctl_spec_class(struct ctl_spec *spec); /* borrowed */
json_t *ctl_class_new(const struct ctl_spec *spec); /* the class, but for its hash; a new reference */
void ctl_spec_hash(struct ctl_spec *spec);     /* sees to it that the hash is known, and stands in the revision's pins */

/* ---- hash.c ---- */
/* The hash of the spec, whose images are pinned: that of a container there is, where that one's spec is the same; else a new one.
 * Hex; the caller frees. */
char *ctl_hash(const struct ctl_spec *spec);
/* As this build makes it without what an engine changes in place (model/inplace.h): equal where nothing else tells two specs apart. Never
 * stored, and compared within one process only. Borrowed. */
const char *ctl_hash_frame(struct ctl_spec *spec);
bool ctl_hash_same_frame(const struct ctl_spec *a, const struct ctl_spec *b); /* whatever their images */
/* Adds to the plan of going from one revision to another: services whose containers are replaced (their hash changes) although their
 * own model is the same. */
void ctl_hash_plan(json_t *plan, const struct ctl_rev *from, const struct ctl_rev *to);

char *ctl_network_name(const struct ctl_rev *rev, const char *key, bool *external); /* on the engine */
char *ctl_volume_name(const struct ctl_rev *rev, const char *key, bool *external);

/* ---- assignment.c ---- */
json_t *ctl_assignment(const struct ctl_inst *inst);
void ctl_send_assign(const struct ctl_inst *inst, const struct ctl_node *node);
void ctl_assign_free(struct bt_assign *assign);
/* Adds the names that links of other services of the revision give this one ("links: [db:database]"). */
void ctl_link_aliases(const struct ctl_spec *spec, json_t *aliases);
/* The instance of another service of the app whose namespaces it shares; NULL where there is none yet. */
const struct ctl_inst *ctl_partner(const struct ctl_inst *inst, const char *service);

/* ---- resolve.c ---- */
void ctl_resolve_begin(struct ctl_rev *rev); /* calls for what is not pinned; may go on at once */
void ctl_check_begin(struct ctl_app *app, const struct bt_request *request);
void ctl_call_done(struct bt_control *c, const struct bt_input *in);
/* A new id of a call, whose end goes to the source or the update of that app. */
uint64_t ctl_call_for(struct bt_control *c, const char *app_key);
void ctl_calls_drop(struct bt_control *c, const struct ctl_app *app);
void ctl_call_free(struct ctl_call *call);
void ctl_check_free(struct ctl_check *check);

/* ---- apply.c ---- */
void ctl_resolved(struct ctl_rev *rev);                            /* all images are pinned: make the hashes */
void ctl_hashed(struct ctl_rev *rev);                              /* all is known: roll it out */
void ctl_resolve_failed(struct ctl_rev *rev, const char *why);     /* what runs stays as it is */
void ctl_apply_moved(struct ctl_app *app, struct ctl_check *check); /* images of an unchanged app moved: a new revision */
void ctl_rollback_auto(struct ctl_app *app, const char *why);

/* ---- resources.c: networks and volumes ---- */
struct ctl_res *ctl_res_find(const struct bt_control *c, enum ctl_res_kind kind, const char *ns, const char *name);
struct ctl_res *ctl_res_attach(struct bt_control *c, enum ctl_res_kind kind, const char *ns, const char *name);
void ctl_res_free(void *res);
void ctl_res_ensure(struct ctl_app *app);      /* what the target needs is made: told to the nodes before any instance of it */
void ctl_res_collect(struct ctl_app *app);     /* networks that nothing uses any more are dropped */
/* Of an app that goes; true when nothing is left to wait for; *error: what is in the way, borrowed. */
bool ctl_res_drop_all(struct ctl_app *app, const char **error);
bool ctl_res_used(const struct ctl_inst *inst, const struct ctl_res *res);
json_t *ctl_res_labels(const struct ctl_res *res);
json_t *ctl_res_message(const struct ctl_res *res); /* of messages.md; node.c */
void ctl_res_send_drops(struct bt_control *c, const char *node);
void ctl_res_retry(struct bt_control *c); /* removals that failed, when their pauses are over; lowers c->wake_ms to the next */
void ctl_res_dropped(struct bt_control *c, const json_t *message);
/* -1 with BT_CONFLICT where the model wants another spec for what is there, or what is there is another app's. */
int ctl_res_check(const struct ctl_rev *rev, struct bt_err **err) BT_CHECK;
void ctl_res_request(struct bt_control *c, const struct bt_request *request, enum ctl_res_kind kind);

/* ---- content.c: secrets, configs, key-value ---- */
void ctl_content_free(void *content);
int ctl_content_load(struct bt_control *c, const char *id, const json_t *value, struct bt_err **err) BT_CHECK;
/* The revision's contents: what the client sent, and the namespace's secrets for external ones. New reference, or NULL with
 * BT_NOT_FOUND, BT_INVALID. */
json_t *ctl_content_refs(const struct ctl_rev *rev, const json_t *contents, struct bt_err **err);
void ctl_content_store(struct ctl_rev *rev, const json_t *contents);
void ctl_content_collect(struct ctl_app *app, bool all); /* contents that no revision needs are forgotten, or all of the app */
void ctl_secret_put(struct bt_control *c, const struct bt_request *request);
void ctl_secret_delete(struct bt_control *c, const struct bt_request *request);
void ctl_kv_put(struct bt_control *c, const struct bt_request *request);

/* ---- update.c: images that move ---- */
void ctl_update_free(struct ctl_update **update);
void ctl_update_plan(struct ctl_app *app); /* the next look, after the intervals of its services */
void ctl_update_wake(struct ctl_app *app); /* looks where it is due; lowers c->wake_ms to when it is */
bool ctl_update_call_done(struct ctl_app *app, const struct bt_input *in); /* false: not a call of its update */
void ctl_image_pushed(struct bt_control *c, const struct bt_request *request);
void ctl_apply_update(struct bt_control *c, const struct bt_request *request); /* apply.c */

/* ---- source.c ---- */
void ctl_source_free(void *source);
struct ctl_source *ctl_source_find(const struct bt_control *c, const char *ns, const char *app);
int ctl_source_load(struct bt_control *c, const json_t *value, struct bt_err **err) BT_CHECK;
json_t *ctl_source_stored(const struct bt_control *c, const char *id); /* NULL where absent */
json_t *ctl_source_json(const struct bt_control *c, const struct ctl_source *source);
const char *ctl_source_state(const struct bt_control *c, const struct ctl_source *source); /* a literal */
/* source_why.c: what the source of an app says of where the app is. False where it follows nothing. */
struct ctl_source_words {
  char *text, *failing, *next; /* failing: of looks that fail; next: what to try; both may be NULL */
  const char *code;            /* the state */
  int64_t since_ms;
};
bool ctl_source_why(const struct bt_control *c, const char *ns, const char *app, int64_t now_ms, struct ctl_source_words *out);
void ctl_source_words_free(struct ctl_source_words *words);
void ctl_sources_start(struct bt_control *c);
void ctl_sources_look(struct bt_control *c); /* takes the steps that are due; lowers c->wake_ms to the next */
bool ctl_source_call_done(struct bt_control *c, struct ctl_source *source, const struct bt_input *in); /* false: not a call of it */
void ctl_source_revised(struct ctl_app *app, const struct ctl_rev *rev, int before); /* before: number of the revision before it */
void ctl_source_rev_state(const struct ctl_rev *rev);
void ctl_source_forget(struct bt_control *c, const char *ns, const char *app, const char *actor);
void ctl_source_put(struct bt_control *c, const struct bt_request *request);
void ctl_source_delete(struct bt_control *c, const struct bt_request *request);
void ctl_source_sync(struct bt_control *c, const struct bt_request *request);
void ctl_source_push(struct bt_control *c, const struct bt_request *request);

/* ---- apply.c, ops.c, node.c, reconcile.c, event.c ---- */
int ctl_check_name(const char *what, const char *name, struct bt_err **err) BT_CHECK;
void ctl_apply(struct bt_control *c, const struct bt_request *request);
void ctl_rollback(struct bt_control *c, const struct bt_request *request);
void ctl_scale(struct bt_control *c, const struct bt_request *request);
/* A new revision of the same model, since a secret or config of the namespace that it uses changed. */
void ctl_apply_again(struct ctl_app *app, const char *actor, const char *message);
void ctl_send_release(struct ctl_inst *inst);
void ctl_send_restart(struct ctl_inst *inst);
void ctl_restart_inst(struct ctl_inst *inst, const char *reason); /* in place; counts as no failure */
bool ctl_inst_done(const struct ctl_inst *inst);                  /* ended well, for good */
/* Whether its container is what its service asks for now, by its spec and by whose network it shares. */
bool ctl_inst_current(const struct ctl_inst *inst);
/* Whether this step may start or end one more instance; else the app is looked at again in the next step. */
bool ctl_has_room(struct ctl_app *app);
json_t *ctl_content_json(const struct ctl_content *content);
json_t *ctl_content_view(const struct bt_control *c, const struct ctl_content *content); /* with "used_by" */
/* name: of the namespace's own, else of the one app that has it, else "app.name". NULL with BT_NOT_FOUND or BT_CONFLICT. */
const struct ctl_content *ctl_content_named(const struct bt_control *c, const char *ns, bool config, const char *name, struct bt_err **err);
void ctl_release(struct ctl_inst *inst, const char *reason);
void ctl_link_specs(struct ctl_app *app); /* services point to the target's specs from now on */
void ctl_request(struct bt_control *c, const struct bt_request *request);
void ctl_reply(struct bt_control *c, uint64_t request, json_t *result_steal);
void ctl_reply_err(struct bt_control *c, uint64_t request, enum bt_code code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void ctl_node_message(struct bt_control *c, const char *node, const json_t *message);
void ctl_node_cordon(struct bt_control *c, const struct bt_request *request);
void ctl_node_down(struct bt_control *c, const char *node);
void ctl_node_save(struct bt_control *c, const struct ctl_node *node);
void ctl_reconcile(struct ctl_app *app);
void ctl_event(struct bt_control *c, const char *severity, const char *type, const char *ns, const char *app, const char *subject,
               json_t *data_steal, const char *fmt, ...) __attribute__((format(printf, 8, 9)));
void ctl_event_add(struct bt_control *c, json_t *event_steal); /* without id, revision, time */
void ctl_events_free(struct bt_control *c);
const char *ctl_event_text(const struct bt_control *c, uint64_t id); /* borrowed; NULL: not kept */
void ctl_event_load(struct bt_control *c, const json_t *event, const char *text, size_t len);

/* ---- routes.c: the table of routes ---- */
/* Structure changed: load balancers get the whole table anew after this step. */
void ctl_routes_changed(struct ctl_app *app);
/* To be called for an instance that changed (or, gone, is about to be deleted): tells what is new of it to load balancers. */
void ctl_routes_inst(struct ctl_inst *inst, bool gone);
/* -1 with BT_CONFLICT where a route of the revision is another app's, or two services of it cannot share one. */
int ctl_routes_check(const struct ctl_rev *rev, struct bt_err **err) BT_CHECK;
void ctl_lb_report(struct bt_control *c, const struct bt_request *request);
json_t *ctl_routes_list(const struct bt_control *c, const struct bt_query *query, char **next);
json_t *ctl_route_named(const struct bt_control *c, const char *ns, const char *name); /* new reference; NULL: none */

/* ---- zones.c: time zones of schedules ---- */
void ctl_zone_free(void *zone);
/* Takes {name: TZif in base64}; what is none is left out. */
void ctl_zones_take(struct bt_control *c, const json_t *zones);
/* false where the zone is not known. *tz may be NULL: UTC. */
bool ctl_zone_find(const struct bt_control *c, const char *name, const struct bt_tz **tz);
/* -1 with BT_INVALID where a schedule of the revision is in a zone that is not known. */
int ctl_zones_check(const struct ctl_rev *rev, struct bt_err **err) BT_CHECK;
json_t *ctl_zones_json(const struct bt_control *c); /* the stored form */
void ctl_zones_put(struct bt_control *c, const struct bt_request *request);

/* ---- runs.c: jobs ---- */
void ctl_job_step(struct ctl_service *service); /* one look at a service that is a job */
void ctl_jobs_free(struct ctl_jobs **jobs);
struct ctl_jobs *ctl_jobs_get(struct ctl_service *service); /* makes it where absent */
/* Whether a run of the service has succeeded, ever; of a job that recurs. */
bool ctl_job_succeeded(const struct ctl_service *service);
bool ctl_run_over(const struct ctl_inst *inst); /* it is of a run that ended */
void ctl_job_run(struct bt_control *c, const struct bt_request *request);
void ctl_jobs_bring_back(struct ctl_service *service, int64_t now_ms); /* after a start: no time of it is to come */

/* ---- runs_forms.c: how runs are stored and shown ---- */
json_t *ctl_jobs_json(const struct ctl_service *service); /* stored */
void ctl_jobs_load(struct ctl_service *service, const json_t *stored);
json_t *ctl_jobs_view(const struct ctl_service *service); /* objects.md; NULL where the service is no job that recurs */
char *ctl_jobs_words(const struct ctl_service *service);  /* a sentence for "why"; the caller frees */
json_t *ctl_job_env(const struct ctl_inst *inst);         /* of an assignment; NULL: none */

/* ---- reconcile.c ---- */
struct bt_rollout_inst ctl_inst_view(const struct ctl_inst *inst);
void ctl_roll_noted(struct ctl_service *service, const struct bt_rollout *before); /* tells and stores where it went on */

/* ---- once.c: jobs that run once on each node ---- */
bool ctl_once(const struct ctl_spec *spec);
struct ctl_once_slots {
  int n, wanted; /* slots are numbered up to n; so many of them there are */
  bool *absent;  /* by slot - 1: there is no such one; the caller frees */
};
/* Which slots a round has (run: 0: of a job that does not recur) as nodes and instances are now. Linear in both. */
void ctl_once_slots(const struct ctl_service *service, struct ctl_spec *spec, int run, struct ctl_once_slots *out);
int ctl_once_wanted(const struct ctl_service *service); /* of the round of a job that does not recur */
/* The number of the node where it is to go now; false: nowhere yet, and why. */
bool ctl_once_node(const struct ctl_inst *inst, uint32_t *node, char *why, size_t size);
void ctl_once_free(struct bt_control *c);

/* ---- wanted.c ---- */
/* How many instances the service is to have now: its replicas; of mode "global" one for each node that takes it. */
int ctl_wanted(const struct ctl_service *service);

/* ---- place.c: when and where instances begin ---- */
/* What dependents of the service may know of it; exists is false where the app has no such service (any more). */
struct bt_dep_facts ctl_facts(const struct ctl_app *app, const char *service);
/* Whether what it depends on stands; else why holds the reason, and service->blocked is set where waiting alone will not help.
 * updates: whether the rollouts of the others must be through as well. */
bool ctl_gate_open(struct ctl_service *service, bool updates, char *why, size_t size);
/* Gives the service's instances that have no node one each, as far as its gate, the nodes and the step's room allow; the others tell
 * what they wait for, and service->blocked is set where waiting alone will not help. */
void ctl_place_pending(struct ctl_service *service);
void ctl_assign(struct ctl_inst *inst, struct ctl_node *node); /* its seat is taken already */
void ctl_stay_pending(struct ctl_inst *inst, const char *why);
/* Whether those are there whose namespaces it shares; else why holds the reason. */
bool ctl_partners_placed(const struct ctl_inst *inst, char *why, size_t size);

/* ---- drain.c: who leaves is let go by the load balancers first ---- */
/* True where it has to be drained first: ctl_drained follows. */
bool ctl_drain_begin(struct ctl_inst *inst);
bool ctl_drain_done(struct bt_control *c, uint64_t call); /* false: it is no call of ours */
void ctl_drains_check(struct ctl_app *app);               /* those whose time is over */
void ctl_drains_resume(struct bt_control *c);             /* after a start */

/* ---- autoscale.c ---- */
/* How many instances there are to be: the file's number, or what its load asks for. Of a job its completions. */
int ctl_replicas(const struct ctl_service *service);
int ctl_concurrency(const struct ctl_service *service, int otherwise); /* of a job: how many attempts at a time; otherwise: as the file says */
bool ctl_scales(const struct ctl_service *service);                    /* its number is not the file's */
/* By so many its number grew just now: until their deadline is over they may be missing. */
int ctl_scaler_grows(const struct ctl_service *service);
void ctl_scaler_free(struct ctl_service *service);
void ctl_autoscale_settle(struct ctl_service *service); /* at each look at its app: bounds and schedules hold at once */
void ctl_autoscale_wake(struct bt_control *c);          /* asks about those that are due; lowers c->wake_ms to the next */
bool ctl_autoscale_done(struct bt_control *c, const struct bt_input *in); /* false: it is no call of ours */
int ctl_scale_check(const struct ctl_service *service, long long n, struct bt_err **err) BT_CHECK; /* whether somebody may set it so */
void ctl_scale_by_hand(struct ctl_service *service, int n, const char *actor);
void ctl_autoscale_bring_back(struct ctl_service *service, int64_t now_ms);
/* vertical.c */
/* Reservations that are in force in place of the file's are put into a model of the app. A new reference; of a copy where something changed. */
char *ctl_vertical_why(const struct ctl_service *service); /* a sentence, which the caller frees; NULL: its use is not watched */
json_t *ctl_vertical_fill(const struct ctl_app *app, json_t *model_steal, bool *changed);
void ctl_apply_resources(struct bt_control *c, const struct bt_request *request); /* apply.c's kind of request */
/* autoscale_forms.c */
json_t *ctl_scaler_json(const struct ctl_service *service); /* stored */
void ctl_scaler_load(struct ctl_service *service, const json_t *stored);
json_t *ctl_autoscale_view(const struct ctl_service *service); /* objects.md; NULL where it does not scale */
/* A sentence for "why"; NULL where it does not scale. The caller frees. */
char *ctl_autoscale_words(const struct ctl_service *service, int64_t *since_ms, const char **code);

/* ---- show.c: what readers see of one object; new references ---- */
json_t *ctl_show_app(const struct ctl_app *app);
uint64_t ctl_app_changed(const struct ctl_app *app); /* revision of its last change, its instances' included */
json_t *ctl_show_service(const struct ctl_service *service);
json_t *ctl_show_inst(const struct ctl_inst *inst);
json_t *ctl_show_rev(const struct ctl_rev *rev, bool model);
json_t *ctl_show_res(const struct bt_control *c, const struct ctl_res *res);
json_t *ctl_show_node(const struct bt_control *c, const struct ctl_node *node);

/* ---- views.c ---- */
struct ctl_service *ctl_service_named(const struct bt_control *c, const char *ns, const char *name, struct bt_err **err);

#endif
