#include "config.h"
#include "api/router.h"

#include "base/mem.h"
#include "base/vec.h"

/* A node of the tree of segments. */
struct node {
  char *literal; /* NULL: a param */
  BT_VEC(struct node *) children;
  struct node *param;
  BT_VEC(const struct bt_route *) routes; /* that end here, one a method */
  char *allow;
};

struct bt_router {
  struct node *root;
  BT_VEC(const struct bt_route *) all;
};

struct bt_router *bt_router_new(void) {
  struct bt_router *router = bt_new(struct bt_router);
  router->root = bt_new(struct node);
  return router;
}

static void node_free(struct node *n) {
  if (!n)
    return;
  bt_vec_each(&n->children, c)
    node_free(*c);
  bt_vec_free(&n->children);
  node_free(n->param);
  bt_vec_free(&n->routes);
  free(n->literal);
  free(n->allow);
  free(n);
}

void bt_router_free(struct bt_router **router) {
  if (!*router)
    return;
  node_free((*router)->root);
  bt_vec_free(&(*router)->all);
  free(*router);
  *router = NULL;
}

static struct node *child(struct node *n, const char *seg, size_t len) {
  bt_vec_each(&n->children, c)
    if (strncmp((*c)->literal, seg, len) == 0 && !(*c)->literal[len])
      return *c;
  return NULL;
}

static struct node *make_child(struct node *n, const char *seg, size_t len) {
  if (*seg == '{') {
    if (!n->param)
      n->param = bt_new(struct node);
    return n->param;
  }
  struct node *c = child(n, seg, len);
  if (!c) {
    c = bt_new(struct node);
    c->literal = bt_strndup(seg, len);
    bt_vec_push(&n->children, c);
  }
  return c;
}

static void add(struct bt_router *router, const struct bt_route *route) {
  struct node *n = router->root;
  for (const char *p = route->pattern; *p == '/';) {
    size_t len = strcspn(++p, "/");
    n = make_child(n, p, len);
    p += len;
  }
  bt_vec_each(&n->routes, r)
    BT_ASSERT(!bt_streq((*r)->method, route->method));
  bt_vec_push(&n->routes, route);
  bool get = bt_streq(route->method, "GET");
  char *allow = bt_asprintf("%s%s%s%s", n->allow ? n->allow : "", n->allow ? ", " : "", route->method, get ? ", HEAD" : "");
  free(n->allow);
  n->allow = allow;
  bt_vec_push(&router->all, route);
}

void bt_router_add(struct bt_router *router, const struct bt_route *routes, size_t n) {
  for (size_t i = 0; i < n; i++)
    add(router, &routes[i]);
}

/* Depth first, literals before params. seg is the NUL-terminated segment, the next one follows it; left counts them. */
static struct node *walk(struct node *n, struct bt_exchange *x, const char *seg, size_t left, int nparams) {
  if (left == 0) {
    x->nparams = nparams;
    return n->routes.len ? n : NULL;
  }
  size_t len = strlen(seg);
  struct node *c = child(n, seg, len);
  struct node *found = c ? walk(c, x, seg + len + 1, left - 1, nparams) : NULL;
  if (found || !n->param || nparams == BT_MAX_PARAMS || len == 0)
    return found;
  x->params[nparams] = seg;
  return walk(n->param, x, seg + len + 1, left - 1, nparams + 1);
}

const struct bt_route *bt_router_find(struct bt_router *router, struct bt_exchange *x, const char **allow) {
  *allow = NULL;
  struct bt_buf *segs = &x->segments;
  bt_buf_truncate(segs, 0);
  bt_buf_adds(segs, x->req->path + 1);
  size_t count = 1, len = segs->len;
  for (size_t i = 0; i < len; i++)
    if (segs->data[i] == '/') {
      segs->data[i] = 0;
      count++;
    }
  struct node *n = walk(router->root, x, segs->data, count, 0);
  if (!n)
    return NULL;
  const char *method = bt_streq(x->req->method, "HEAD") ? "GET" : x->req->method;
  bt_vec_each(&n->routes, r)
    if (strcmp((*r)->method, method) == 0)
      return *r;
  *allow = n->allow;
  return NULL;
}

size_t bt_router_count(const struct bt_router *router) { return router->all.len; }
const struct bt_route *bt_router_at(const struct bt_router *router, size_t i) { return router->all.items[i]; }
