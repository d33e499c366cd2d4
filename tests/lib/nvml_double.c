/* A libnvidia-ml.so.1 without GPUs. It tells what a file says (the one that LABHUB_NVML_STATE
 * names, else the one that was named when this was compiled), read anew at each call; as in the
 * real one, which GPUs there are is settled when it is opened.
 *
 *   driver 550.54.15
 *   gpu UUID MINOR TOTAL_MIB USED_MIB BUSY_PERCENT ECC_ERRORS MODEL...
 *   lost UUID                     the GPU is there and cannot be reached
 *   mig UUID                      the GPU is in MIG mode
 *   slice UUID GPU_UUID TOTAL_MIB USED_MIB MODEL...
 *   proc UUID PID USED_MIB        a program on a GPU or a slice; USED_MIB -1: not told
 *   draw UUID PID USED_MIB        a program that draws on one
 *   busy UUID PID PERCENT         how much of the GPU's processors it takes
 *   xid UUID NUMBER               told once, to who waits for it when the line appears
 *   answer FUNCTION CODE          this function fails so
 *   hang FUNCTION                 this function never returns
 *
 * A name that is missing in a driver is missing here when it is compiled away (-DFUNCTION=...).
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef STATE
#define STATE "/dev/null"
#endif

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NO_DRIVER = 9,
       TIMEOUT = 10, IS_LOST = 15 };
enum { MOST = 64, WIDTH = 96 };
#define NOT_TOLD 0xFFFFFFFFFFFFFFFFULL

typedef unsigned long long u64;
struct device { char uuid[WIDTH]; int is_slice; };
struct event { struct device *device; u64 type, data; unsigned gi, ci; };
struct process { unsigned pid; u64 used; unsigned gi, ci; };
struct sample { unsigned pid; u64 time; unsigned sm, memory, encoder, decoder; };

static struct device gpus[MOST], slices[MOST];
static int gpu_count, told_xids, registered;

/* Calls `line` with each line of the state file until it returns something else than 0. */
static int each_line(int (*line)(const char *, void *), void *out)
{
    const char *path = getenv("LABHUB_NVML_STATE");
    FILE *file = fopen(path ? path : STATE, "r");
    char text[512];
    int found = 0;
    if (!file)
        return 0;
    while (!found && fgets(text, sizeof text, file)) {
        text[strcspn(text, "\n")] = 0;
        found = line(text, out);
    }
    fclose(file);
    return found;
}

static int fault(const char *text, void *out)
{
    char name[WIDTH];
    int code;
    if (sscanf(text, "hang %95s", name) == 1 && !strcmp(name, out))
        for (;;)
            pause();
    return sscanf(text, "answer %95s %d", name, &code) == 2 && !strcmp(name, out) ? code : 0;
}

#define BEGIN do { int code = each_line(fault, (void *)__func__); if (code) return code; } while (0)
#define REACH(device) do { int code = reach(device); if (code) return code; } while (0)

struct facts { const char *uuid; char parent[WIDTH], model[WIDTH]; long total, used;
               int minor, busy, ecc, found; };

static int describe(const char *text, void *out)
{
    struct facts *facts = out;
    char uuid[WIDTH];
    int is_gpu = sscanf(text, "gpu %95s %d %ld %ld %d %d %95[^\n]", uuid, &facts->minor,
                        &facts->total, &facts->used, &facts->busy, &facts->ecc, facts->model) == 7;
    int is_slice = !is_gpu && sscanf(text, "slice %95s %95s %ld %ld %95[^\n]", uuid, facts->parent,
                                     &facts->total, &facts->used, facts->model) == 5;
    return facts->found = (is_gpu || is_slice) && !strcmp(uuid, facts->uuid);
}

static struct facts facts_of(const struct device *device)
{
    struct facts facts = {.uuid = device->uuid};
    each_line(describe, &facts);
    return facts;
}

struct word { const char *uuid; const char *format; };
static int mentions(const char *text, void *out)
{
    struct word *word = out;
    char uuid[WIDTH];
    return sscanf(text, word->format, uuid) == 1 && !strcmp(uuid, word->uuid);
}

static int says(const char *format, const char *uuid)
{
    struct word word = {uuid, format};
    return each_line(mentions, &word);
}

static int reach(const struct device *device)
{
    return !facts_of(device).found || says("lost %95s", device->uuid) ? IS_LOST : OK;
}

static int list_gpu(const char *text, void *out)
{
    (void)out;
    if (gpu_count < MOST && sscanf(text, "gpu %95s", gpus[gpu_count].uuid) == 1)
        gpu_count++;
    return 0;
}

struct count { int found; };
static int count_xid(const char *text, void *out)
{
    ((struct count *)out)->found += !strncmp(text, "xid ", 4);
    return 0;
}

/* opening and closing */

int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    BEGIN;
    gpu_count = 0;
    each_line(list_gpu, NULL);
    return OK;
}

int nvmlShutdown(void) { BEGIN; gpu_count = 0; return OK; }
const char *nvmlErrorString(int code) { return code == IS_LOST ? "GPU is lost" : "Failed"; }

static int read_driver(const char *text, void *out) { return sscanf(text, "driver %79s", (char *)out) == 1; }
int nvmlSystemGetDriverVersion(char *out, unsigned length)
{
    (void)length;
    BEGIN;
    return each_line(read_driver, out) ? OK : NOT_SUPPORTED;
}

/* which there are */

int nvmlDeviceGetCount_v2(unsigned *out) { BEGIN; *out = gpu_count; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **out)
{
    BEGIN;
    if (index >= (unsigned)gpu_count)
        return INVALID;
    *out = &gpus[index];
    return facts_of(*out).found ? OK : IS_LOST;
}

int nvmlDeviceGetUUID(struct device *device, char *out, unsigned length)
{
    BEGIN;
    snprintf(out, length, "%s", device->uuid);
    return OK;
}

int nvmlDeviceGetName(struct device *device, char *out, unsigned length)
{
    BEGIN;
    REACH(device);
    snprintf(out, length, "%s", facts_of(device).model);
    return OK;
}

int nvmlDeviceGetMinorNumber(struct device *device, unsigned *out)
{
    BEGIN;
    REACH(device);
    *out = facts_of(device).minor;
    return OK;
}

/* numbers */

int nvmlDeviceGetMemoryInfo(struct device *device, u64 *out)
{
    BEGIN;
    REACH(device);
    struct facts facts = facts_of(device);
    out[0] = (u64)facts.total << 20;
    out[1] = (u64)(facts.total - facts.used) << 20;
    out[2] = (u64)facts.used << 20;
    return OK;
}

int nvmlDeviceGetUtilizationRates(struct device *device, unsigned *out)
{
    BEGIN;
    REACH(device);
    if (says("mig %95s", device->uuid))
        return NOT_SUPPORTED;
    out[0] = facts_of(device).busy;
    out[1] = 0;
    return OK;
}

int nvmlDeviceGetTotalEccErrors(struct device *device, int kind, int counter, u64 *out)
{
    BEGIN;
    REACH(device);
    if (kind != 1 || counter != 0)
        return INVALID;
    *out = facts_of(device).ecc;
    return facts_of(device).ecc < 0 ? NOT_SUPPORTED : OK;
}

/* slices */

int nvmlDeviceGetMigMode(struct device *device, unsigned *now, unsigned *next)
{
    BEGIN;
    REACH(device);
    *now = *next = says("mig %95s", device->uuid);
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(struct device *device, unsigned *out)
{
    BEGIN;
    REACH(device);
    *out = 7;
    return OK;
}

struct place { const char *gpu; unsigned index; char uuid[WIDTH]; };
static int find_slice(const char *text, void *out)
{
    struct place *place = out;
    char parent[WIDTH];
    return sscanf(text, "slice %95s %95s", place->uuid, parent) == 2 && !strcmp(parent, place->gpu) &&
           place->index-- == 0;
}

/* Slices have the odd numbers: the places between them are empty. */
int nvmlDeviceGetMigDeviceHandleByIndex(struct device *device, unsigned index, struct device **out)
{
    BEGIN;
    REACH(device);
    struct place place = {device->uuid, index / 2, ""};
    if (index % 2 == 0 || !each_line(find_slice, &place))
        return NOT_FOUND;
    *out = &slices[(device - gpus) * 3 + index / 2];
    snprintf((*out)->uuid, WIDTH, "%s", place.uuid);
    (*out)->is_slice = 1;
    return OK;
}

/* programs */

struct processes { const char *word, *uuid; unsigned most, found; struct process *out; };
static int list_process(const char *text, void *out)
{
    struct processes *wanted = out;
    char word[WIDTH], uuid[WIDTH];
    unsigned pid;
    long used;
    if (sscanf(text, "%95s %95s %u %ld", word, uuid, &pid, &used) != 4 ||
        strcmp(word, wanted->word) || strcmp(uuid, wanted->uuid))
        return 0;
    if (wanted->found < wanted->most)
        wanted->out[wanted->found] = (struct process){pid, used < 0 ? NOT_TOLD : (u64)used << 20, 0, 0};
    wanted->found++;
    return 0;
}

static int list_processes(const char *word, struct device *device, unsigned *count, struct process *out)
{
    struct processes wanted = {word, device->uuid, out ? *count : 0, 0, out};
    each_line(list_process, &wanted);
    int is_small = wanted.found > wanted.most;
    *count = wanted.found;
    return is_small ? TOO_SMALL : OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(struct device *device, unsigned *count, struct process *out)
{
    BEGIN;
    REACH(device);
    return list_processes("proc", device, count, out);
}

/* No slice can draw. */
int nvmlDeviceGetGraphicsRunningProcesses_v3(struct device *device, unsigned *count, struct process *out)
{
    BEGIN;
    REACH(device);
    return device->is_slice ? NOT_SUPPORTED : list_processes("draw", device, count, out);
}

struct samples { const char *uuid; unsigned most, found; struct sample *out; };
static int list_sample(const char *text, void *out)
{
    struct samples *wanted = out;
    char uuid[WIDTH];
    unsigned pid, percent;
    if (sscanf(text, "busy %95s %u %u", uuid, &pid, &percent) != 3 || strcmp(uuid, wanted->uuid))
        return 0;
    if (wanted->found < wanted->most)
        wanted->out[wanted->found] = (struct sample){pid, 1, percent, 0, 0, 0};
    wanted->found++;
    return 0;
}

int nvmlDeviceGetProcessUtilization(struct device *device, struct sample *out, unsigned *count, u64 since)
{
    (void)since;
    BEGIN;
    REACH(device);
    if (says("mig %95s", device->uuid))
        return NOT_SUPPORTED;
    struct samples wanted = {device->uuid, out ? *count : 0, 0, out};
    each_line(list_sample, &wanted);
    *count = wanted.found;
    return wanted.found == 0 ? NOT_FOUND : wanted.found > wanted.most ? TOO_SMALL : OK;
}

/* errors that come by themselves */

int nvmlEventSetCreate(void **out)
{
    struct count count = {0};
    BEGIN;
    each_line(count_xid, &count);
    told_xids = count.found;
    registered = 0;
    *out = &registered;
    return OK;
}

int nvmlDeviceRegisterEvents(struct device *device, u64 types, void *set)
{
    (void)set;
    BEGIN;
    REACH(device);
    registered += types == 8;
    return types == 8 ? OK : INVALID;
}

struct xid { int skip; unsigned number; char uuid[WIDTH]; };
static int next_xid(const char *text, void *out)
{
    struct xid *xid = out;
    return sscanf(text, "xid %95s %u", xid->uuid, &xid->number) == 2 && xid->skip-- == 0;
}

int nvmlEventSetWait_v2(void *set, struct event *out, unsigned milliseconds)
{
    (void)set, (void)milliseconds;
    BEGIN;
    struct xid xid = {told_xids, 0, ""};
    if (!registered || !each_line(next_xid, &xid))
        return TIMEOUT;
    told_xids++;
    *out = (struct event){NULL, 8, xid.number, UINT_MAX, UINT_MAX};
    for (int index = 0; index < gpu_count; index++)
        if (!strcmp(gpus[index].uuid, xid.uuid))
            out->device = &gpus[index];
    return OK;
}

int nvmlEventSetFree(void *set) { (void)set; BEGIN; registered = 0; return OK; }
