/* Threads that help runs: started when they are first asked for, and ended when the last model is closed.
 *
 * The calling thread always works too, so a run needs no helper to come to its end. Helpers go where the fewest are. */
#define _GNU_SOURCE
#include "program.h"

#include <pthread.h>
#include <signal.h>

enum { GP_POOL_VERSION = 2 };

struct gp_pool {
    int32_t version;
    void (*share)(struct gp_pool *, gp_job *);
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    gp_job *jobs;      /* that helpers may join */
    uint32_t arrivals; /* atomic: how many jobs there were */
    int32_t sleeping, workers, born, stopping;
    pthread_t *threads;
};

enum { SPINS = 3000, MOST_WORKERS = GP_MOST_THREADS - 1, STACK_BYTES = 1 << 20 };

static void pause_a_little(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* The job with the fewest threads among those that have tasks and room. */
static gp_job *neediest(gp_pool *pool) {
    gp_job *found = NULL;
    for (gp_job *job = pool->jobs; job; job = job->next)
        if (job->joined + 1 < job->slots && __atomic_load_n(&job->next_task, __ATOMIC_RELAXED) < job->tasks &&
            (!found || job->joined < found->joined))
            found = job;
    return found;
}

/* Wait for a job, on the processor first, since the next kernel's mostly follows at once. Called and left locked. */
static void wait_for_job(gp_pool *pool) {
    uint32_t seen = pool->arrivals;
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < SPINS && __atomic_load_n(&pool->arrivals, __ATOMIC_RELAXED) == seen; i++) pause_a_little();
    pthread_mutex_lock(&pool->lock);
    while (pool->arrivals == seen && !pool->stopping) {
        pool->sleeping++;
        pthread_cond_wait(&pool->wake, &pool->lock);
        pool->sleeping--;
    }
}

static void *help(void *argument) {
    gp_pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    int32_t home = ++pool->born;
    while (!pool->stopping) {
        gp_job *job = neediest(pool);
        if (!job) {
            wait_for_job(pool);
            continue;
        }
        int32_t slot = ++job->joined;
        __atomic_fetch_add(&job->active, 1, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&pool->lock);
        job->work(job, slot, home);
        pthread_mutex_lock(&pool->lock);
        if (__atomic_sub_fetch(&job->active, 1, __ATOMIC_RELEASE) == 0) pthread_cond_broadcast(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static int start_worker(gp_pool *pool) {
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all); /* signals are for the program's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, help, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!failed) pool->threads[pool->workers++] = thread;
    return failed;
}

static void share(gp_pool *pool, gp_job *job) {
    int32_t wanted = job->slots - 1 < MOST_WORKERS ? job->slots - 1 : MOST_WORKERS;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping && pool->workers < wanted && !start_worker(pool)) continue; /* with fewer it takes longer */
    job->next = pool->jobs;
    pool->jobs = job;
    __atomic_fetch_add(&pool->arrivals, 1, __ATOMIC_RELAXED);
    if (pool->sleeping) pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    job->work(job, 0, 0);
    pthread_mutex_lock(&pool->lock);
    gp_job **at = &pool->jobs;
    while (*at != job) at = &(*at)->next;
    *at = job->next;
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < SPINS && __atomic_load_n(&job->active, __ATOMIC_ACQUIRE); i++) pause_a_little();
    if (!__atomic_load_n(&job->active, __ATOMIC_ACQUIRE)) return;
    pthread_mutex_lock(&pool->lock);
    while (job->active) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static pthread_t own_threads[MOST_WORKERS];
static gp_pool own = {GP_POOL_VERSION, share, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                      PTHREAD_COND_INITIALIZER, NULL, 0, 0, 0, 0, 0, own_threads};
static gp_pool *used = &own; /* atomic */

void gp_share(gp_job *job) {
    gp_pool *pool = __atomic_load_n(&used, __ATOMIC_ACQUIRE);
    pool->share(pool, job);
}

gp_pool *gp_get_pool(void) { return __atomic_load_n(&used, __ATOMIC_ACQUIRE); }

int gp_set_pool(gp_pool *pool) {
    if (!pool || pool->version != GP_POOL_VERSION) return -1;
    __atomic_store_n(&used, pool, __ATOMIC_RELEASE);
    return 0;
}

void gp_stop_pool(void) {
    pthread_mutex_lock(&own.lock);
    int32_t workers = own.stopping ? 0 : own.workers;
    if (workers) own.stopping = 1;
    __atomic_fetch_add(&own.arrivals, 1, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&own.wake);
    pthread_mutex_unlock(&own.lock);
    if (!workers) return;
    for (int32_t i = 0; i < workers; i++) pthread_join(own.threads[i], NULL);
    pthread_mutex_lock(&own.lock);
    own.workers = own.born = own.stopping = 0;
    pthread_mutex_unlock(&own.lock);
}

/* A forked child has the forking thread alone: it starts with an empty pool. */
static void before_fork(void) { pthread_mutex_lock(&own.lock); }

static void after_fork_in_parent(void) { pthread_mutex_unlock(&own.lock); }

static void after_fork_in_child(void) {
    gp_pool empty = {GP_POOL_VERSION, share, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                     PTHREAD_COND_INITIALIZER, NULL, 0, 0, 0, 0, 0, own_threads};
    own = empty;
}

__attribute__((constructor)) static void survive_forks(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
