/* Lets a process's clocks run faster than real time, and makes its waits shorter.
 *
 * It is preloaded. DEMO_CLOCK names the file that `demo/clock.py` writes. Time stands
 * still while the board or Klippy waits for a processor. All processes with the same
 * file see the same time.
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

/* demo/clock.py writes this. All times are in ns. */
struct page {
  double rate;             /* the factor to real time */
  long long begin;         /* the monotonic clock when time began */
  volatile long long lost; /* for how long time has stood still */
  /* The monotonic clock less `lost` stops here until the board runs again. */
  volatile long long limit;
  volatile long long wall;   /* the error of the wall clock, and of no other clock */
  volatile long long klippy; /* the process number of Klippy */
  volatile long long due;    /* when its reactor is to run next, or ran last */
  volatile long long worked; /* for how long the reactor had used a processor by then */
  volatile long long sent;   /* the shown time at which it last wrote to the board */
};

#define GONE 2000000000LL /* ns after the limit when the board counts as ended */

static struct page none = {.rate = 1}, *page = &none;
static pthread_t first; /* the thread of Klippy's reactor */
static long long process;
static __thread long long seen; /* the time that this thread last read (ns) */

/* Takes the clock that the environment names. A process that is forked does so again,
   because a fork server changes the environment before it forks. */
static void take_clock(void) {
  first = pthread_self(), process = getpid();
  const char *name = getenv("DEMO_CLOCK");
  int fd = name ? open(name, O_RDWR) : -1;
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) page = mapped;
  close(fd);
}

__attribute__((constructor)) static void start(void) {
  take_clock();
  pthread_atfork(NULL, NULL, take_clock);
}

static void *next(const char *name) {
  /* glibc also has these names for older conditions, which have another layout. */
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

/* Returns how long the clocks have run by the time that they show (ns). */
static long long elapsed(void) {
  /* The limit is read first, since the writer changes `lost` first. Both are read before
     the clock, so that a wait for a processor in between is not subtracted twice. */
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

/* Returns the real time at which *clock* will show *t*. */
static struct timespec truly(clockid_t clock, const struct timespec *t) {
  return spec(now(clock) + (ns(*t) - shown(clock)) / page->rate);
}

static struct timespec shorter(const struct timespec *t) { return spec(ns(*t) / page->rate); }

/* Notes that Klippy's reactor runs now, and then waits for *wait* ns. */
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

/* Writes: Klippy reads the time first, and may write its bytes much later. */

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
  /* A wait must not become zero. A program that waits for the rest of a millisecond
     would then use the processor all the time. */
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
  /* The time does not say of which clock it is. No machine runs for ten years, so a
     large time is of the wall clock. */
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
