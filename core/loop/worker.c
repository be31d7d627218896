#include "config.h"
#include "loop/worker.h"

#include <pthread.h>
#include <signal.h>

#include "base/mem.h"
#include "loop/internal.h"

enum {
  DEFAULT_THREADS = 4,
  /* Address space, not memory: pages count once touched. Room for recursive parsers at their depth caps. */
  STACK_BYTES = 1024 * 1024,
};

struct item {
  struct item *next;
  const char *name;
  void (*work)(void *arg);
  void (*done)(void *arg);
  void *arg;
};

struct queue {
  struct item *head, **tail;
};

struct bt_pool {
  struct bt_loop *loop;
  int max;
  pthread_mutex_t lock; /* guards all below */
  pthread_cond_t more;
  struct queue todo, finished;
  int idle, waiting;
  bool closing, told; /* told: a post that drains "finished" is on its way */
  int nthreads;       /* the loop's thread only */
  pthread_t *threads;
};

static void queue_push(struct queue *q, struct item *it) {
  it->next = NULL;
  *q->tail = it;
  q->tail = &it->next;
}

static struct item *queue_pop(struct queue *q) {
  struct item *it = q->head;
  if (it && !(q->head = it->next))
    q->tail = &q->head;
  return it;
}

static struct item *take_finished(struct bt_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  struct item *it = queue_pop(&pool->finished);
  pthread_mutex_unlock(&pool->lock);
  return it;
}

static void finish_one(struct bt_loop *loop, struct item *it) {
  if (it->done) {
    bt_loop_enter(loop, it->name);
    it->done(it->arg);
    bt_loop_leave(loop);
  }
  free(it);
}

/* Takes the whole list first and touches the pool no more: a done() may free it. */
static void drain(void *arg) {
  struct bt_pool *pool = arg;
  pthread_mutex_lock(&pool->lock);
  struct item *list = pool->finished.head;
  pool->finished.head = NULL;
  pool->finished.tail = &pool->finished.head;
  pool->told = false;
  pthread_mutex_unlock(&pool->lock);
  struct bt_loop *loop = pool->loop;
  while (list) {
    struct item *it = list;
    list = it->next;
    finish_one(loop, it);
  }
}

static void *thread_main(void *arg) {
  struct bt_pool *pool = arg;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    struct item *it = queue_pop(&pool->todo);
    if (!it) {
      if (pool->closing)
        break;
      pool->idle++;
      pthread_cond_wait(&pool->more, &pool->lock);
      pool->idle--;
      continue;
    }
    pool->waiting--;
    pthread_mutex_unlock(&pool->lock);
    it->work(it->arg);
    pthread_mutex_lock(&pool->lock);
    queue_push(&pool->finished, it);
    bool tell = !pool->told && !pool->closing;
    pool->told |= tell;
    if (tell)
      bt_loop_post(pool->loop, "worker-done", drain, pool); /* under the lock: the pool cannot go away meanwhile */
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

struct bt_pool *bt_pool_new(struct bt_loop *loop, int threads) {
  struct bt_pool *pool = bt_new(struct bt_pool);
  pool->loop = loop;
  pool->max = threads > 0 ? threads : DEFAULT_THREADS;
  pool->threads = bt_newn(pthread_t, (size_t)pool->max);
  pool->todo.tail = &pool->todo.head;
  pool->finished.tail = &pool->finished.head;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->more, NULL);
  return pool;
}

static void start_thread(struct bt_pool *pool) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the loop's: the thread inherits a full mask */
  if (pthread_create(&pool->threads[pool->nthreads], &attr, thread_main, pool) == 0)
    pool->nthreads++;
  else
    BT_ASSERT(pool->nthreads > 0); /* fewer threads will do, none will not */
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attr);
}

void bt_pool_run(struct bt_pool *pool, const char *name, void (*work)(void *arg), void (*done)(void *arg), void *arg) {
  struct item *it = bt_new(struct item);
  *it = (struct item){.name = name, .work = work, .done = done, .arg = arg};
  if (pool->closing) { /* there are no threads any more */
    work(arg);
    finish_one(pool->loop, it);
    return;
  }
  pthread_mutex_lock(&pool->lock);
  queue_push(&pool->todo, it);
  pool->waiting++;
  bool grow = pool->waiting > pool->idle && pool->nthreads < pool->max;
  pthread_cond_signal(&pool->more);
  pthread_mutex_unlock(&pool->lock);
  if (grow)
    start_thread(pool);
}

void bt_pool_finish(struct bt_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->closing = true;
  pthread_cond_broadcast(&pool->more);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < pool->nthreads; i++)
    pthread_join(pool->threads[i], NULL);
  pool->nthreads = 0;
  bt_loop_unpost(pool->loop, drain, pool);
  for (struct item *it; (it = take_finished(pool));)
    finish_one(pool->loop, it);
}

void bt_pool_free(struct bt_pool **ppool) {
  if (!*ppool)
    return;
  struct bt_pool *pool = bt_steal(*ppool);
  bt_pool_finish(pool);
  pthread_mutex_destroy(&pool->lock);
  pthread_cond_destroy(&pool->more);
  free(pool->threads);
  free(pool);
}
