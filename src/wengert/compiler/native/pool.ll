; A small pool of threads. See pool.py for what it promises.
;
; A job is a number of pieces. One word says it all:
;
;     turn (32 bits) | pieces (16 bits) | next piece (16 bits)
;
; To publish a job, its caller writes task and context, then the word. Whoever finds next < pieces
; adds 1 to the word by compare-and-swap and has thereby claimed a piece; the job cannot end
; before that piece is done, so task and context are its own. The caller claims pieces as well: a
; thread that is slow to wake delays nobody. The job is over when no piece is left undone.
;
; A thread watches the word for a while and then sleeps on @wake. To lose no wake-up, a thread
; counts itself as a sleeper before it looks at the word for the last time, and a caller changes
; the word before it looks at the number of sleepers; both in the one order of all `seq_cst`
; operations. The caller's sleep on @finished goes likewise.

@word       = internal global i64 0, align 128
@undone     = internal global i64 0, align 128
@task       = internal global ptr null, align 128
@context    = internal global ptr null
@busy       = internal global i32 0
@threads    = internal global i64 0                          ; how many have been started
@handles    = internal global [256 x i64] zeroinitializer    ; pthread_t, to join them
@sleepers   = internal global i64 0, align 128
@waiting    = internal global i32 0
@ending     = internal global i32 0
@lock       = internal global [128 x i8] zeroinitializer, align 128  ; room for any system's
@wake       = internal global [128 x i8] zeroinitializer, align 128
@finished   = internal global [128 x i8] zeroinitializer, align 128

declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @sigfillset(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)

; Makes a pool without threads, anew in the child of a fork, where no other thread lives.
define void @wengert_pool_reset() nounwind {
  store i64 0, ptr @word
  store i64 0, ptr @undone
  store i64 0, ptr @threads
  store i64 0, ptr @sleepers
  store i32 0, ptr @waiting
  store i32 0, ptr @ending
  call i32 @pthread_mutex_init(ptr @lock, ptr null)
  call i32 @pthread_cond_init(ptr @wake, ptr null)
  call i32 @pthread_cond_init(ptr @finished, ptr null)
  store atomic i32 0, ptr @busy release, align 4
  ret void
}

; Ends all threads. The pool stays busy, so that what comes after runs on its caller's thread;
; where another thread is at work in it, the end of the process will end it.
define void @wengert_pool_end() nounwind {
  %taken = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %mine = extractvalue {i32, i1} %taken, 1
  br i1 %mine, label %tell, label %leave
tell:
  store atomic i32 1, ptr @ending monotonic, align 4  ; seen by who sees the turn that follows
  call void @publish(i64 0)
  %count = load i64, ptr @threads
  br label %each
each:
  %i = phi i64 [0, %tell], [%after, %join]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %join, label %leave
join:
  %place = getelementptr i64, ptr @handles, i64 %i
  %handle = load i64, ptr %place
  call i32 @pthread_join(i64 %handle, ptr null)
  %after = add i64 %i, 1
  br label %each
leave:
  ret void
}

; task(piece, pieces, context) for every piece, on as many threads; returns when all are done. If
; the pool is busy, or has no job for others, this thread does all of them, in order.
define void @wengert_parallel(ptr %task, ptr %context, i64 %pieces) nounwind {
entry:
  %fewest = icmp sgt i64 %pieces, 1
  %most = icmp slt i64 %pieces, 65536
  %shared = and i1 %fewest, %most
  br i1 %shared, label %take, label %alone
take:
  %taken = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %mine = extractvalue {i32, i1} %taken, 1
  br i1 %mine, label %together, label %alone
together:
  call void @start(i64 %pieces)
  store ptr %task, ptr @task
  store ptr %context, ptr @context
  store i64 %pieces, ptr @undone
  call void @publish(i64 %pieces)
  br label %claim
claim:
  %claimed = call i64 @claim()
  %some = icmp ne i64 %claimed, -1
  br i1 %some, label %do, label %wait
do:
  %piece = and i64 %claimed, 65535
  call void %task(i64 %piece, i64 %pieces, ptr %context)
  atomicrmw sub ptr @undone, i64 1 seq_cst
  br label %claim
wait:
  call void @await()
  store atomic i32 0, ptr @busy release, align 4
  ret void

alone:
  %i = phi i64 [0, %entry], [0, %take], [%next, %one]
  %more = icmp slt i64 %i, %pieces
  br i1 %more, label %one, label %leave
one:
  call void %task(i64 %i, i64 %pieces, ptr %context)
  %next = add i64 %i, 1
  br label %alone
leave:
  ret void
}

; Starts threads until there are enough for a job, or no more to be had. Signals are not for them.
define internal void @start(i64 %pieces) nounwind {
entry:
  %few = icmp ult i64 %pieces, 256
  %most = select i1 %few, i64 %pieces, i64 256
  %started = load i64, ptr @threads
  %present = add i64 %started, 1
  %lacking = icmp ult i64 %present, %most
  br i1 %lacking, label %prepare, label %leave
prepare:
  %all = alloca [128 x i8], align 8
  %before = alloca [128 x i8], align 8
  call i32 @sigfillset(ptr %all)
  call i32 @pthread_sigmask(i32 $setmask, ptr %all, ptr %before)
  br label %check
check:
  %count = load i64, ptr @threads
  %number = add i64 %count, 1                        ; the caller is number 0
  %enough = icmp uge i64 %number, %most
  br i1 %enough, label %restore, label %create
create:
  %place = getelementptr i64, ptr @handles, i64 %count
  %argument = inttoptr i64 %number to ptr
  %error = call i32 @pthread_create(ptr %place, ptr null, ptr @thread, ptr %argument)
  %failed = icmp ne i32 %error, 0
  br i1 %failed, label %restore, label %created
created:
  store i64 %number, ptr @threads
  br label %check
restore:
  call i32 @pthread_sigmask(i32 $setmask, ptr %before, ptr null)
  br label %leave
leave:
  ret void
}

; A new turn of so many pieces, told to those who sleep.
define internal void @publish(i64 %pieces) nounwind {
  %old = load atomic i64, ptr @word monotonic, align 8
  %turn = and i64 %old, -4294967296
  %next = add i64 %turn, 4294967296
  %shifted = shl i64 %pieces, 16
  %new = or i64 %next, %shifted
  store atomic i64 %new, ptr @word seq_cst, align 8
  %asleep = load atomic i64, ptr @sleepers seq_cst, align 8
  %any = icmp ne i64 %asleep, 0
  br i1 %any, label %tell, label %leave
tell:
  call i32 @pthread_mutex_lock(ptr @lock)
  call i32 @pthread_cond_broadcast(ptr @wake)
  call i32 @pthread_mutex_unlock(ptr @lock)
  br label %leave
leave:
  ret void
}

; The word as it was before its next piece became ours to do; -1 if no piece is left.
define internal i64 @claim() nounwind {
entry:
  %first = load atomic i64, ptr @word acquire, align 8
  br label %try
try:
  %old = phi i64 [%first, %entry], [%seen, %swap]
  %piece = and i64 %old, 65535
  %high = lshr i64 %old, 16
  %pieces = and i64 %high, 65535
  %some = icmp ult i64 %piece, %pieces
  br i1 %some, label %swap, label %none
swap:
  %new = add i64 %old, 1
  %result = cmpxchg ptr @word, i64 %old, i64 %new acq_rel acquire
  %seen = extractvalue {i64, i1} %result, 0
  %done = extractvalue {i64, i1} %result, 1
  br i1 %done, label %mine, label %try
mine:
  ret i64 %old
none:
  ret i64 -1
}

; Until no piece is undone: watches for a while, then sleeps.
define internal void @await() nounwind {
entry:
  br label %watch
watch:
  %i = phi i64 [0, %entry], [%after, %again]
  %left = load atomic i64, ptr @undone acquire, align 8
  %over = icmp eq i64 %left, 0
  br i1 %over, label %leave, label %again
again:
  call void @relax()
  %after = add i64 %i, 1
  %more = icmp ult i64 %after, $spins
  br i1 %more, label %watch, label %sleep
sleep:
  call i32 @pthread_mutex_lock(ptr @lock)
  store atomic i32 1, ptr @waiting seq_cst, align 4
  br label %check
check:
  %still = load atomic i64, ptr @undone seq_cst, align 8
  %ended = icmp eq i64 %still, 0
  br i1 %ended, label %awake, label %doze
doze:
  call i32 @pthread_cond_wait(ptr @finished, ptr @lock)
  br label %check
awake:
  store atomic i32 0, ptr @waiting monotonic, align 4
  call i32 @pthread_mutex_unlock(ptr @lock)
  br label %leave
leave:
  ret void
}

; What a thread does: pieces while there are any, and wait for the next turn.
define internal ptr @thread(ptr %argument) nounwind {
entry:
  %number = ptrtoint ptr %argument to i64
  br label %turn
turn:
  %word = load atomic i64, ptr @word acquire, align 8
  %ending = load atomic i32, ptr @ending monotonic, align 4
  %ended = icmp ne i32 %ending, 0
  br i1 %ended, label %leave, label %look
look:
  %high = lshr i64 %word, 16
  %pieces = and i64 %high, 65535
  %wanted = icmp ult i64 %number, %pieces            ; a small job is for the first few threads
  br i1 %wanted, label %claim, label %rest
claim:
  %claimed = call i64 @claim()                       ; perhaps of a later turn than the word's
  %some = icmp ne i64 %claimed, -1
  br i1 %some, label %do, label %rest
do:
  %task = load ptr, ptr @task
  %context = load ptr, ptr @context
  %piece = and i64 %claimed, 65535
  %claimedhigh = lshr i64 %claimed, 16
  %all = and i64 %claimedhigh, 65535
  call void %task(i64 %piece, i64 %all, ptr %context)
  %before = atomicrmw sub ptr @undone, i64 1 seq_cst
  %last = icmp eq i64 %before, 1
  br i1 %last, label %tell, label %claim
tell:
  %awaited = load atomic i32, ptr @waiting seq_cst, align 4
  %asleep = icmp ne i32 %awaited, 0
  br i1 %asleep, label %rouse, label %rest
rouse:
  call i32 @pthread_mutex_lock(ptr @lock)
  call i32 @pthread_cond_signal(ptr @finished)
  call i32 @pthread_mutex_unlock(ptr @lock)
  br label %rest
rest:
  call void @rest(i64 %word)
  br label %turn
leave:
  ret ptr null
}

; Until the turn is another than a word's: watches for a while, then sleeps.
define internal void @rest(i64 %word) nounwind {
entry:
  %turn = lshr i64 %word, 32
  br label %watch
watch:
  %i = phi i64 [0, %entry], [%after, %again]
  %now = load atomic i64, ptr @word acquire, align 8
  %nowturn = lshr i64 %now, 32
  %same = icmp eq i64 %nowturn, %turn
  br i1 %same, label %again, label %leave
again:
  call void @relax()
  %after = add i64 %i, 1
  %more = icmp ult i64 %after, $spins
  br i1 %more, label %watch, label %sleep
sleep:
  call i32 @pthread_mutex_lock(ptr @lock)
  atomicrmw add ptr @sleepers, i64 1 seq_cst
  br label %check
check:
  %later = load atomic i64, ptr @word seq_cst, align 8
  %laterturn = lshr i64 %later, 32
  %unchanged = icmp eq i64 %laterturn, %turn
  br i1 %unchanged, label %doze, label %awake
doze:
  call i32 @pthread_cond_wait(ptr @wake, ptr @lock)
  br label %check
awake:
  atomicrmw sub ptr @sleepers, i64 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr @lock)
  br label %leave
leave:
  ret void
}

define internal void @relax() alwaysinline nounwind {
  $pause
  ret void
}
