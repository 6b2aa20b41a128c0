"""The team of threads as LLVM text: how parts are claimed, waited for, and slept between.

A team is a block of numbers that its threads share. `run` publishes a job (a task, n, buffers, and how many parts)
and claims parts of it until none is left, as every worker that is awake does. The word `claim` holds how many parts
are still to be claimed, which is the first of them, and the job's number. A claim is a compare-and-swap that takes one
off: it fails if the job is another one by now, so no thread runs a part with the description of another job. A worker
computes a part as the caller would: it takes over how denormal numbers and rounding are treated there. The
caller then waits for the parts that others have claimed, and for no thread that has claimed none: one that the system
does not let run delays nothing but its own part.

Every other worker claims the last part instead of the first. What a thread leaves in its core's cache it then mostly
finds there: the same rows of weights, gradient and slots go to the same end in every kernel and every step.

Nobody spins for long: a waiting thread pauses, then lets others run, and an idle worker goes to sleep.
"""

from __future__ import annotations

from clearprop.backends.native.denormals import write_modes

RUN, WORKER, THRESHOLD, STOP = 0, 1, 2, 3
"""Two addresses of functions, the cost in picoseconds from which a kernel is shared, whether the workers shall end."""

LIBRARY = ("pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_wait", "pthread_cond_signal", "sched_yield")
"""What the text calls of the C library, by addresses in the block from FUNCTIONS on, and then `clock_gettime`."""

FUNCTIONS = 4
CLOCK, CLOCK_NUMBER = FUNCTIONS + len(LIBRARY), FUNCTIONS + len(LIBRARY) + 1

# what threads write to keeps 128 bytes off from the rest: two cache lines are fetched together
_CLAIM, _DONE, _JOB, _BUSY, _SLEEPING = 16, 32, 48, 64, 80
_MISSED = _BUSY + 1
MUTEX, CONDITION = 96, 112
SIZE = 144
"""Of the block, in numbers of 8 bytes; the two locks have 128 bytes and more, twice what any system needs."""

_BITS = 18
"""Of the claim: for how many parts are left, and for the first of them; what is above is the job's number."""

MOST_PARTS = (1 << _BITS) - 1
"""Of a job; one of more is refused."""

_SPIN, _REST = 30_000, 500_000
"""Nanoseconds of idleness after which a thread lets others run, and after which a worker sleeps."""

_WAKING = 5
"""Workers are woken when what they could have shared since the last time costs this many times the threshold."""

_PAUSES = {"x86": "@llvm.x86.sse2.pause()", "arm": "@llvm.aarch64.hint(i32 1)"}
_DECLARED = {
    "x86": "declare void @llvm.x86.sse2.pause()\n",
    "arm": "declare void @llvm.aarch64.hint(i32)\n",
}


def write_team(family: str) -> str:
    """Return the text for a family of CPUs.

    Its function `program(i64, ptr team)` writes the addresses of `i1 run(team, task, n, parts, buffers, cost)`,
    which is false if the team is busy with another job, and of `void worker(team, number)` into the block.
    """
    return _TEXT.replace("PAUSE", _PAUSES[family]) + _DECLARED[family] + write_modes(family)


def _fields(**places: int) -> str:
    return "\n".join(f"  %{name} = getelementptr i64, ptr %team, i64 {place}" for name, place in places.items())


_TEXT = f"""\
define void @program(i64 %n, ptr %team) {{
{_fields(run=RUN, worker=WORKER)}
  store ptr @run, ptr %run
  store ptr @worker, ptr %worker
  ret void
}}

define internal i1 @run(ptr %team, ptr %task, i64 %n, i64 %parts, ptr %buffers, i64 %cost) nounwind {{
{_fields(claim=_CLAIM, done=_DONE, busy=_BUSY)}
{_fields(job_task=_JOB, job_n=_JOB + 1, job_buffers=_JOB + 2, job_mode=_JOB + 3)}
  %many = icmp ugt i64 %parts, {MOST_PARTS}
  br i1 %many, label %refuse, label %ask
ask:
  %lock = cmpxchg ptr %busy, i64 0, i64 1 acquire monotonic
  %free = extractvalue {{ i64, i1 }} %lock, 1
  br i1 %free, label %publish, label %refuse
refuse:
  ret i1 false
publish:
  store atomic ptr %task, ptr %job_task monotonic, align 8
  store atomic i64 %n, ptr %job_n monotonic, align 8
  store atomic ptr %buffers, ptr %job_buffers monotonic, align 8
  %mode = call i64 @mode()
  store atomic i64 %mode, ptr %job_mode monotonic, align 8
  store atomic i64 0, ptr %done monotonic, align 8
  %last = load atomic i64, ptr %claim monotonic, align 8
  %number = lshr i64 %last, {2 * _BITS}
  %next = add i64 %number, 1
  %high = shl i64 %next, {2 * _BITS}
  %word = or i64 %high, %parts
  %old = atomicrmw xchg ptr %claim, i64 %word seq_cst
  call void @wake(ptr %team, i64 %parts, i64 %cost)
  call void @work(ptr %team, i64 0)
  br label %wait
wait:
  %start = phi i64 [ 0, %publish ], [ %since, %again ]
  %finished = load atomic i64, ptr %done acquire, align 8
  %all = icmp eq i64 %finished, %parts
  br i1 %all, label %leave, label %again
again:
  %since = call i64 @idle(ptr %team, i64 %start)
  br label %wait
leave:
  store atomic i64 0, ptr %busy release, align 8
  ret i1 true
}}

; claim and run parts until none is left
define internal void @work(ptr %team, i64 %worker) nounwind {{
{_fields(claim=_CLAIM, done=_DONE)}
{_fields(job_task=_JOB, job_n=_JOB + 1, job_buffers=_JOB + 2, job_mode=_JOB + 3)}
  %odd = and i64 %worker, 1
  %backwards = icmp ne i64 %odd, 0
  %step = select i1 %backwards, i64 0, i64 {1 << _BITS}
  br label %look
look:
  %word = load atomic i64, ptr %claim acquire, align 8
  %left = and i64 %word, {MOST_PARTS}
  %none = icmp eq i64 %left, 0
  br i1 %none, label %leave, label %take
take:
  ; what is read here may be of a later job, but then the compare-and-swap fails
  %task = load atomic ptr, ptr %job_task monotonic, align 8
  %n = load atomic i64, ptr %job_n monotonic, align 8
  %buffers = load atomic ptr, ptr %job_buffers monotonic, align 8
  %mode = load atomic i64, ptr %job_mode monotonic, align 8
  %fewer = sub i64 %word, 1
  %rest = add i64 %fewer, %step
  %swap = cmpxchg ptr %claim, i64 %word, i64 %rest acq_rel monotonic
  %mine = extractvalue {{ i64, i1 }} %swap, 1
  br i1 %mine, label %do, label %look
do:
  %above = lshr i64 %word, {_BITS}
  %first = and i64 %above, {MOST_PARTS}
  %others = sub i64 %left, 1
  %beyond = select i1 %backwards, i64 %others, i64 0
  %part = add i64 %first, %beyond
  call void @set_mode(i64 %mode)
  call void %task(i64 %n, i64 %part, i64 %worker, ptr %buffers)
  %before = atomicrmw add ptr %done, i64 1 release
  br label %look
leave:
  ret void
}}

; pause once, or let others run if that has gone on since %start (0: since now); give back the start
define internal i64 @idle(ptr %team, i64 %start) nounwind {{
{_fields(yield_place=FUNCTIONS + 4)}
  br label %pause
pause:
  %i = phi i64 [ 0, %0 ], [ %j, %pause ]
  call void PAUSE
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, 8
  br i1 %more, label %pause, label %look
look:
  %now = call i64 @now(ptr %team)
  %first = icmp eq i64 %start, 0
  %since = select i1 %first, i64 %now, i64 %start
  %spent = sub i64 %now, %since
  %long = icmp sgt i64 %spent, {_SPIN}
  br i1 %long, label %yield, label %leave
yield:
  %sched_yield = load ptr, ptr %yield_place
  %ignored = call i32 %sched_yield()
  br label %leave
leave:
  ret i64 %since
}}

define internal i64 @now(ptr %team) nounwind {{
{_fields(clock_place=CLOCK, number_place=CLOCK_NUMBER)}
  %time = alloca [2 x i64]
  %clock = load ptr, ptr %clock_place
  %number = load i64, ptr %number_place
  %which = trunc i64 %number to i32
  %ignored = call i32 %clock(i32 %which, ptr %time)
  %seconds = load i64, ptr %time
  %rest_place = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest_place
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %rest
  ret i64 %now
}}

; wake as many sleeping workers as the job has use for, once enough work has gone by without them
define internal void @wake(ptr %team, i64 %parts, i64 %cost) nounwind {{
{_fields(sleeping=_SLEEPING, missed=_MISSED, threshold=THRESHOLD, mutex=MUTEX, condition=CONDITION)}
{_fields(lock_place=FUNCTIONS, unlock_place=FUNCTIONS + 1, signal_place=FUNCTIONS + 3)}
  %asleep = load atomic i64, ptr %sleeping seq_cst, align 8
  %any = icmp sgt i64 %asleep, 0
  br i1 %any, label %add, label %leave
add:
  %limit = load i64, ptr %threshold
  %before = load i64, ptr %missed
  %sum = add i64 %before, %cost
  %price = mul i64 %limit, {_WAKING}
  %enough = icmp sge i64 %sum, %price
  %rest = select i1 %enough, i64 0, i64 %sum
  store i64 %rest, ptr %missed
  br i1 %enough, label %count, label %leave
count:
  %unit = call i64 @llvm.smax.i64(i64 %limit, i64 1)
  %worth = sdiv i64 %cost, %unit
  %useful = call i64 @llvm.smin.i64(i64 %worth, i64 %parts)
  %wanted = call i64 @llvm.smin.i64(i64 %useful, i64 %asleep)
  ; a worker between its last look and its sleep holds the lock
  %lock = load ptr, ptr %lock_place
  %unlock = load ptr, ptr %unlock_place
  %signal = load ptr, ptr %signal_place
  %ignored.1 = call i32 %lock(ptr %mutex)
  %ignored.2 = call i32 %unlock(ptr %mutex)
  br label %next
next:
  %i = phi i64 [ 0, %count ], [ %j, %one ]
  %more = icmp slt i64 %i, %wanted
  br i1 %more, label %one, label %leave
one:
  %ignored.3 = call i32 %signal(ptr %condition)
  %j = add i64 %i, 1
  br label %next
leave:
  ret void
}}

declare i64 @llvm.smax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)

define internal void @worker(ptr %team, i64 %worker) nounwind {{
{_fields(claim=_CLAIM, stop=STOP)}
  br label %busy
busy:
  call void @work(ptr %team, i64 %worker)
  br label %look
look:
  %start = phi i64 [ 0, %busy ], [ %since, %wait ]
  %end = load atomic i64, ptr %stop acquire, align 8
  %over = icmp ne i64 %end, 0
  br i1 %over, label %leave, label %check
check:
  %word = load atomic i64, ptr %claim acquire, align 8
  %left = and i64 %word, {MOST_PARTS}
  %some = icmp ne i64 %left, 0
  br i1 %some, label %busy, label %wait
wait:
  %since = call i64 @idle(ptr %team, i64 %start)
  %now = call i64 @now(ptr %team)
  %spent = sub i64 %now, %since
  %tired = icmp sgt i64 %spent, {_REST}
  br i1 %tired, label %rest, label %look
rest:
  call void @sleep(ptr %team)
  br label %busy
leave:
  ret void
}}

; sleep until there is a part to claim, or the team ends
define internal void @sleep(ptr %team) nounwind {{
{_fields(claim=_CLAIM, stop=STOP, sleeping=_SLEEPING, mutex=MUTEX, condition=CONDITION)}
{_fields(lock_place=FUNCTIONS, unlock_place=FUNCTIONS + 1, wait_place=FUNCTIONS + 2)}
  %lock = load ptr, ptr %lock_place
  %unlock = load ptr, ptr %unlock_place
  %wait = load ptr, ptr %wait_place
  %ignored.1 = call i32 %lock(ptr %mutex)
  ; counted before the last look at the claim, as a job is published before the look at this count
  %before = atomicrmw add ptr %sleeping, i64 1 seq_cst
  br label %look
look:
  %word = load atomic i64, ptr %claim seq_cst, align 8
  %left = and i64 %word, {MOST_PARTS}
  %end = load atomic i64, ptr %stop seq_cst, align 8
  %reason = or i64 %left, %end
  %awake = icmp ne i64 %reason, 0
  br i1 %awake, label %leave, label %doze
doze:
  %ignored.2 = call i32 %wait(ptr %condition, ptr %mutex)
  br label %look
leave:
  %after = atomicrmw sub ptr %sleeping, i64 1 seq_cst
  %ignored.3 = call i32 %unlock(ptr %mutex)
  ret void
}}
"""
