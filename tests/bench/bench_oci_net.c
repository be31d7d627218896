/* bench oci-resolver: answers a second of the resolver's own processor time, with 1,000 services, over UDP on loopback; and oci-resolver-p99:
 * how long one takes where 50,000 a second are asked (an open loop), beside the machine's load. bench oci-join: a network namespace is made and joined to a bridge, addresses and
 * route included, beside the same with the commands of ip. */
#include "config.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/net/bridge.h"
#include "../../plugins/runtime-oci/net/link.h"
#include "../../plugins/runtime-oci/net/netlink.h"
#include "../../plugins/runtime-oci/resolver/server.h"
#include "bench.h"

enum { SERVICES = 1000, QUESTIONS = 300000, WINDOW = 16, RATE = 50000, JOINS = 100, PEER_JOINS = 20 };

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double server_cpu;

static void *serve(void *arg) {
  rs_server_run(*(int *)arg, "/dev/null");
  server_cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
  return NULL;
}

static void say(int control, json_t *o, int fd) {
  char *text = pu_json_text(o);
  struct iovec v = {text, strlen(text)};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } room = {0};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  if (fd >= 0) {
    m.msg_control = &room;
    m.msg_controllen = sizeof room;
    *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
  }
  if (sendmsg(control, &m, 0) < 0)
    perror("resolver");
  json_decref(o);
  free(text);
}

/* Tells of the services; the port at which it answers. */
static int tell(int control) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int room = 1 << 20, udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0) /* as net/names.c has it */
    setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(udp, (struct sockaddr *)&at, sizeof at) < 0 || getsockname(udp, (struct sockaddr *)&at, &len) < 0)
    abort();
  say(control, json_pack("{s:s, s:[s]}", "network", "n", "subnets", "127.0.0.0/8"), udp);
  close(udp);
  for (int i = 0; i < SERVICES; i++)
    say(control, json_pack("{s:o, s:o, s:o, s:s, s:s, s:{s:{s:o, s:[]}}}", "member", json_sprintf("id%d", i), "name", json_sprintf("svc%d-1", i), "service", json_sprintf("svc%d", i),
                           "app", "shop", "namespace", "prod", "networks", "n", "ip", json_sprintf("10.1.%d.%d", i / 250, i % 250 + 1), "aliases"), -1);
  return ntohs(at.sin_port);
}

static size_t question(uint8_t *d, unsigned i) {
  char name[64];
  memset(d, 0, rs_header);
  rs_put16(d, i);
  d[2] = 1;
  rs_put16(d + 4, 1);
  snprintf(name, sizeof name, "svc%u.shop.prod.berth", i * 7919 % SERVICES);
  size_t n = rs_header + rs_name_wire(name, d + rs_header);
  rs_put16(d + n, rs_a);
  rs_put16(d + n + 2, rs_in);
  return n + 4;
}

/* Asks all, WINDOW at once. Returns how many were answered with an address. */
static unsigned ask(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  uint8_t d[600];
  unsigned asked = 0, got = 0, good = 0;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
    abort();
  while (got < QUESTIONS) {
    for (; asked < QUESTIONS && asked - got < WINDOW; asked++) {
      size_t n = question(d, asked & 0xffff);
      if (send(fd, d, n, 0) < 0)
        perror("send");
    }
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 1000) != 1)
      break; /* lost: too few are counted then */
    ssize_t n = recv(fd, d, sizeof d, 0);
    if (n > rs_header) {
      got++;
      good += rs_get16(d + 6) == 1;
    }
  }
  close(fd);
  return good;
}

/* ---------------------------------------------------------------- at a given rate */

/* The kernel's clock and ours for the time of a packet. */
static double realtime(void) { return seconds(CLOCK_REALTIME); }

/* Takes what has come; the time is when the kernel had the packet, so that the asker's own waits for a processor are not the resolver's. */
static unsigned take_answers(int fd, const double *sent, double *latency, unsigned got, unsigned *good) {
  uint8_t d[600];
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct timespec))];
  } room;
  for (;;) {
    struct iovec v = {d, sizeof d};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    if (n <= rs_header || got == QUESTIONS)
      return got;
    double at = realtime();
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        at = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
      }
    latency[got++] = at - sent[rs_get16(d)];
    *good += rs_get16(d + 6) == 1;
  }
}

/* Asks RATE times a second whether answers come or not (an open loop); late: how far behind its time each question was sent. */
static unsigned ask_at_rate(int port, double *latency, double *late, unsigned *got) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  static double sent[65536];
  uint8_t d[600];
  unsigned good = 0;
  int on = 1, room = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
    abort();
  *got = 0;
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  double t0 = realtime();
  for (unsigned i = 0; i < QUESTIONS; i++) {
    double due = t0 + (double)i / RATE;
    for (double left; (left = due - realtime()) > 0;) {
      /* Who waits in the kernel is woken at once on a busy machine; who spins uses up its share, and stands still for milliseconds. */
      struct timespec rest = {.tv_nsec = (long)(left * 1e9)};
      ppoll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, &rest, NULL);
      *got = take_answers(fd, sent, latency, *got, &good);
    }
    size_t n = question(d, i & 0xffff);
    sent[i & 0xffff] = realtime();
    late[i] = sent[i & 0xffff] - due;
    if (send(fd, d, n, 0) < 0)
      perror("send");
  }
  for (double end = realtime() + 1; *got < QUESTIONS && realtime() < end;)
    *got = take_answers(fd, sent, latency, *got, &good);
  close(fd);
  return good;
}

static double percentile(double *values, unsigned n, double p) {
  qsort(values, n, sizeof *values, bench_compare);
  return values[(unsigned)((n - 1) * p)] * 1e3;
}

/* One run; returns the 99th percentile in ms, of all that were asked. */
static double paced(int port, double *latency, double *late, unsigned *good) {
  unsigned got;
  *good = ask_at_rate(port, latency, late, &got);
  for (unsigned i = got; i < QUESTIONS; i++)
    latency[i] = 1; /* lost: who asked would ask again after a second, at best */
  return percentile(latency, QUESTIONS, 0.99);
}

/* Both threads before all others of the machine, so that nobody else's load is in the figure; false where that is not allowed. */
static bool before_others(pthread_t server) {
  struct sched_param p = {.sched_priority = 10};
  return pthread_setschedparam(server, SCHED_FIFO, &p) == 0 && pthread_setschedparam(pthread_self(), SCHED_FIFO, &p) == 0;
}

/* As the machine is, and once more without waiting for a processor behind others: the second is the resolver's own part. */
static int at_rate(int port, pthread_t server, unsigned *all) {
  static double latency[QUESTIONS], late[QUESTIONS];
  unsigned good, more_good = 0;
  double load[1] = {NAN};
  char more[320], own[80] = "";
  double p99 = paced(port, latency, late, &good);
  double p50 = percentile(latency, QUESTIONS, 0.5), p999 = percentile(latency, QUESTIONS, 0.999), behind = percentile(late, QUESTIONS, 0.99);
  getloadavg(load, 1);
  if (before_others(server))
    snprintf(own, sizeof own, ", \"before_others_p99_ms\": %.3f", paced(port, latency, late, &more_good));
  pthread_setschedparam(pthread_self(), SCHED_OTHER, &(struct sched_param){0});
  *all = good + more_good;
  snprintf(more, sizeof more, ", \"rate\": %d, \"asked\": %d, \"answered\": %u, \"p50_ms\": %.3f, \"p999_ms\": %.3f, \"asker_late_p99_ms\": %.3f, \"load_1min\": %.1f, \"processors\": %ld%s",
           RATE, QUESTIONS, good, p50, p999, behind, load[0], sysconf(_SC_NPROCESSORS_ONLN), own);
  return bench_print(&(struct bench_result){.name = "oci-resolver-p99", .unit = "ms", .value = p99, .floor = NAN, .peer = NAN, .ratio = NAN, .reach = 1, .more = more});
}

static int resolver(void) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "berth-bench-%d", getpid());
  int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 1) < 0 || connect(control, (struct sockaddr *)&a, sizeof a) < 0)
    return 1;
  pthread_t thread;
  pthread_create(&thread, NULL, serve, &listener);
  int port = tell(control);
  double t0 = seconds(CLOCK_MONOTONIC);
  unsigned good = ask(port), paced_good;
  double wall = seconds(CLOCK_MONOTONIC) - t0;
  int bad = at_rate(port, thread, &paced_good);
  say(control, json_pack("{s:b}", "end", 1), -1);
  pthread_join(thread, NULL);
  close(control);
  char more[160];
  snprintf(more, sizeof more, ", \"services\": %d, \"wall_answers_per_s\": %.0f", SERVICES, good / wall);
  return bad | bench_print(&(struct bench_result){.name = "oci-resolver", .unit = "answers/s of one core", .value = (good + paced_good) / server_cpu, .floor = NAN, .peer = NAN, .ratio = NAN,
                                                  .reach = good == QUESTIONS ? 50000 : INFINITY, .at_least = true, .more = more});
}

/* ---------------------------------------------------------------- joining */

static int host_ns, nl;

static void join(int i, int *ns) {
  char host[32], address[32];
  struct ro_why why = {0};
  snprintf(host, sizeof host, "vb%u", (unsigned)i % 10000);
  snprintf(address, sizeof address, "10.89.%u.%u/16", (unsigned)i / 200 % 200, (unsigned)i % 200 + 2);
  struct ro_link l = {.name = "eth0", .host = host, .bridge = "brbench", .addresses = {address}, .naddresses = 1, .gateway = "10.89.0.1"};
  if (ro_link_enter(&l, 1, ns, &why))
    fprintf(stderr, "%s\n", why.text);
  if (setns(host_ns, CLONE_NEWNET) < 0)
    abort();
}

/* The same by hand: sh is not counted, each command of ip is a process. */
static void join_with_ip(int i) {
  int in[2], out[2];
  if (pipe(in) || pipe(out))
    abort();
  char c, text[512];
  pid_t pid = fork();
  if (!pid) {
    close(in[1]), close(out[0]);
    if (unshare(CLONE_NEWNET) < 0 || write(out[1], "x", 1) != 1 || read(in[0], &c, 1) != 1)
      _exit(1);
    snprintf(text, sizeof text, "ip link set lo up; ip addr add 10.89.100.%d/16 dev eth0; ip link set eth0 up; ip route add default via 10.89.0.1", i % 200 + 2);
    _exit(system(text) != 0);
  }
  close(in[0]), close(out[1]);
  if (read(out[0], &c, 1) != 1)
    abort();
  snprintf(text, sizeof text, "ip link add vi%d type veth peer name eth0 netns %d; ip link set vi%d master brbench up", i, pid, i);
  if (system(text) || write(in[1], "x", 1) != 1)
    fprintf(stderr, "ip does not do it\n");
  waitpid(pid, NULL, 0);
  close(in[1]), close(out[0]);
}

static int joins(void) {
  double ours[JOINS], theirs[PEER_JOINS];
  int ns[JOINS];
  struct ro_ip gateway;
  struct ro_why why = {0};
  if (unshare(CLONE_NEWNET) < 0) {
    printf("{\"bench\": \"oci-join\", \"skip\": \"no network namespace may be made here\"}\n");
    return 0;
  }
  host_ns = ro_nl_open(&why);
  close(host_ns);
  host_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  nl = ro_nl_open(&why);
  ro_ip_parse("10.89.0.1/16", &gateway);
  if (ro_bridge_ensure(nl, &(struct ro_bridge){.name = "brbench", .gateways = &gateway, .ngateways = 1}, &why))
    return 1;
  for (int i = 0; i < JOINS; i++) {
    double t0 = seconds(CLOCK_MONOTONIC);
    join(i, &ns[i]);
    ours[i] = (seconds(CLOCK_MONOTONIC) - t0) * 1e3;
  }
  for (int i = 0; i < PEER_JOINS; i++) {
    double t0 = seconds(CLOCK_MONOTONIC);
    join_with_ip(i);
    theirs[i] = (seconds(CLOCK_MONOTONIC) - t0) * 1e3;
  }
  for (int i = 0; i < JOINS; i++)
    close(ns[i]);
  return bench_print(&(struct bench_result){.name = "oci-join", .unit = "ms", .value = bench_median(ours, JOINS), .floor = NAN, .peer = bench_median(theirs, PEER_JOINS), .ratio = NAN, .reach = 2.5});
}

int main(void) {
  int bad = resolver();
  return bad | joins();
}
