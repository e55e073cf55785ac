/* A process's clocks run faster than life, and its waits are as much shorter.
 *
 * To be preloaded. DEMO_CLOCK names the file that `demo/clock.py` writes; time stands
 * still while board or Klippy is kept waiting. All that are told the same file agree.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NANO 1000000000LL
#define REAL(name) ((typeof(&name))next(#name))
#define EXPORT __attribute__((visibility("default")))

/* As demo/clock.py writes it; all times in ns. */
struct page {
  double rate;             /* how much faster than life */
  long long begin;         /* of the monotonic clock */
  volatile long long lost; /* for how long time has stood still */
  /* Up to when the monotonic clock less `lost` may run, until the board runs again. */
  volatile long long limit;
  volatile long long wall;   /* by how much the wall clock alone is wrong */
  volatile long long klippy; /* its process */
  volatile long long due;    /* when its reactor is to run next, or ran last */
  volatile long long worked; /* how long it had had a processor by then */
  volatile long long sent;   /* when it sent something to the board last, as shown */
};

#define GONE 2000000000LL /* ns after the limit until the board is taken for gone */

static struct page none = {.rate = 1}, *page = &none;
static pthread_t first; /* the thread that Klippy's reactor runs in */
static long long process;
static __thread long long seen; /* the time that this thread was shown last (ns) */

__attribute__((constructor)) static void start(void) {
  first = pthread_self(), process = getpid();
  const char *name = getenv("DEMO_CLOCK");
  int fd = name ? open(name, O_RDWR) : -1;
  if (fd < 0) return;
  void *found = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (found != MAP_FAILED) page = found;
  close(fd);
}

static void *next(const char *name) {
  /* Before 2.3.2, glibc had conditions of another shape under the same name. */
  void *function = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
  return function ? function : dlsym(RTLD_NEXT, name);
}

static long long ns(struct timespec t) { return t.tv_sec * NANO + t.tv_nsec; }

static struct timespec spec(long long t) {
  if (t < 0) t = 0;
  return (struct timespec){t / NANO, t % NANO};
}

static long long now(clockid_t clock) {
  struct timespec t;
  syscall(SYS_clock_gettime, clock, &t);
  return ns(t);
}

static int is_wall(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

static int is_faster(clockid_t clock) {
  return is_wall(clock) || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
         clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_MONOTONIC_COARSE;
}

/* How long the clocks have run, as they show it (ns). */
static long long elapsed(void) {
  /* In this order: the writer changes `lost` first, and then the limit. And what is
     lost while we wait for a processor must not count twice. */
  long long limit = page->limit, lost = page->lost;
  long long run = now(CLOCK_MONOTONIC) - lost;
  if (run > limit && run < limit + GONE) run = limit;
  return (run - page->begin) * page->rate;
}

static long long shown(clockid_t clock) {
  if (!is_faster(clock)) return now(clock);
  long long t = seen = page->begin + elapsed();
  if (clock != CLOCK_MONOTONIC) t += now(clock) - now(CLOCK_MONOTONIC);
  return is_wall(clock) ? t + page->wall : t;
}

/* The true time at which *clock* will show *t*. */
static struct timespec truly(clockid_t clock, const struct timespec *t) {
  return spec(now(clock) + (ns(*t) - shown(clock)) / page->rate);
}

static struct timespec shorter(const struct timespec *t) { return spec(ns(*t) / page->rate); }

/* Klippy's reactor runs, and then waits for *wait* ns. */
static void note(long long wait) {
  if (page->klippy != process || !pthread_equal(pthread_self(), first)) return;
  page->worked = now(CLOCK_THREAD_CPUTIME_ID);
  page->due = now(CLOCK_MONOTONIC) + wait;
}

/* Clocks */

EXPORT int clock_gettime(clockid_t clock, struct timespec *t) {
  if (!is_faster(clock)) return syscall(SYS_clock_gettime, clock, t);
  note(0);
  *t = spec(shown(clock));
  return 0;
}

EXPORT int gettimeofday(struct timeval *t, void *zone) {
  (void)zone;
  long long nano = shown(CLOCK_REALTIME);
  *t = (struct timeval){nano / NANO, nano % NANO / 1000};
  return 0;
}

EXPORT time_t time(time_t *t) {
  time_t seconds = shown(CLOCK_REALTIME) / NANO;
  if (t) *t = seconds;
  return seconds;
}

/* Sleeps */

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
                           struct timespec *left) {
  struct timespec real = *t;
  if (is_faster(clock)) real = flags & TIMER_ABSTIME ? truly(clock, t) : shorter(t);
  int error = REAL(clock_nanosleep)(clock, flags, &real, left);
  if (left && error == EINTR) *left = spec(ns(*left) * page->rate);
  return error;
}

EXPORT int nanosleep(const struct timespec *t, struct timespec *left) {
  int error = clock_nanosleep(CLOCK_MONOTONIC, 0, t, left);
  if (error) errno = error;
  return error ? -1 : 0;
}

EXPORT int usleep(useconds_t microseconds) {
  struct timespec t = spec(microseconds * 1000LL);
  return nanosleep(&t, NULL);
}

EXPORT unsigned sleep(unsigned seconds) {
  struct timespec t = {seconds, 0};
  nanosleep(&t, NULL);
  return 0;
}

/* What is sent: Klippy takes the time, and then writes, be it much later. */

EXPORT ssize_t write(int file, const void *data, size_t size) {
  if (page->klippy == process && !pthread_equal(pthread_self(), first) && isatty(file))
    page->sent = seen;
  return syscall(SYS_write, file, data, size);
}

/* Waits for files */

EXPORT int ppoll(struct pollfd *files, nfds_t count, const struct timespec *t,
                 const sigset_t *mask) {
  struct timespec real;
  if (t) real = shorter(t), note(ns(real));
  return REAL(ppoll)(files, count, t ? &real : NULL, mask);
}

EXPORT int poll(struct pollfd *files, nfds_t count, int milliseconds) {
  struct timespec t = spec(milliseconds * 1000000LL);
  return ppoll(files, count, milliseconds < 0 ? NULL : &t, NULL);
}

EXPORT int pselect(int count, fd_set *r, fd_set *w, fd_set *e, const struct timespec *t,
                   const sigset_t *mask) {
  struct timespec real;
  if (t) real = shorter(t);
  return REAL(pselect)(count, r, w, e, t ? &real : NULL, mask);
}

EXPORT int select(int count, fd_set *r, fd_set *w, fd_set *e, struct timeval *t) {
  struct timespec real;
  if (t) real = spec(t->tv_sec * NANO + t->tv_usec * 1000LL);
  return pselect(count, r, w, e, t ? &real : NULL, NULL);
}

EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int count,
                       int milliseconds, const sigset_t *mask) {
  /* Never none at all, or whoever waits for the rest of it would not rest. */
  int real = milliseconds <= 0 ? milliseconds : (milliseconds + page->rate - 1) / page->rate;
  if (real > 0) note(real * 1000000LL);
  return REAL(epoll_pwait)(epoll, events, count, real, mask);
}

EXPORT int epoll_wait(int epoll, struct epoll_event *events, int count,
                      int milliseconds) {
  return epoll_pwait(epoll, events, count, milliseconds, NULL);
}

/* Waits for threads */

EXPORT int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  clockid_t clock, const struct timespec *t) {
  struct timespec real = truly(clock, t);
  return REAL(pthread_cond_clockwait)(condition, mutex, clock, &real);
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *t) {
  /* A condition does not tell its clock; no machine runs for ten years. */
  clockid_t clock = t->tv_sec > 315360000 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
  struct timespec real = truly(clock, t);
  return REAL(pthread_cond_timedwait)(condition, mutex, &real);
}

EXPORT int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *t) {
  struct timespec real = truly(clock, t);
  return REAL(sem_clockwait)(semaphore, clock, &real);
}

EXPORT int sem_timedwait(sem_t *semaphore, const struct timespec *t) {
  struct timespec real = truly(CLOCK_REALTIME, t);
  return REAL(sem_timedwait)(semaphore, &real);
}
