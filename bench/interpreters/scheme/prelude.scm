; The part of the library that is written in Scheme. It is compiled at each start, before the program.

; ---- Syntax ------------------------------------------------------------------------------------------------------------

(define-syntax when (syntax-rules () ((_ test form ...) (if test (begin form ...)))))
(define-syntax unless (syntax-rules () ((_ test form ...) (if test #f (begin form ...)))))

(define-syntax cond
  (syntax-rules (else =>)
    ((_) (if #f #f))
    ((_ (else form ...)) (begin form ...))
    ((_ (test => receiver) clause ...)
     (let ((value test)) (if value (receiver value) (cond clause ...))))
    ((_ (test)) test)
    ((_ (test) clause ...) (or test (cond clause ...)))
    ((_ (test form ...)) (if test (begin form ...)))
    ((_ (test form ...) clause ...) (if test (begin form ...) (cond clause ...)))))

(define-syntax case
  (syntax-rules ()
    ((_ expression clause ...) (let ((key expression)) (%case key clause ...)))))

(define-syntax %case
  (syntax-rules (else =>)
    ((_ key) #f)
    ((_ key (else => receiver)) (receiver key))
    ((_ key (else form ...)) (begin form ...))
    ((_ key ((datum ...) => receiver) clause ...)
     (if (or (eqv? key 'datum) ...) (receiver key) (%case key clause ...)))
    ((_ key ((datum ...) form ...) clause ...)
     (if (or (eqv? key 'datum) ...) (begin form ...) (%case key clause ...)))))

(define-syntax do
  (syntax-rules ()
    ((_ ((variable initial step ...) ...) (test result ...) form ...)
     (let loop ((variable initial) ...)
       (if test
           (begin #f result ...)
           (begin form ... (loop (%do-step variable step ...) ...)))))))

(define-syntax %do-step
  (syntax-rules ()
    ((_ variable) variable)
    ((_ variable step) step)))

(define-syntax let-values
  (syntax-rules ()
    ((_ () form ...) (let () form ...))
    ((_ ((formals expression) binding ...) form ...)
     (call-with-values (lambda () expression) (lambda formals (let-values (binding ...) form ...))))))

(define-syntax let*-values (syntax-rules () ((_ bindings form ...) (let-values bindings form ...))))

(define-syntax receive
  (syntax-rules ()
    ((_ formals expression form ...) (call-with-values (lambda () expression) (lambda formals form ...)))))

(define-syntax define-values
  (syntax-rules ()
    ((_ (name ...) expression)
     (begin (define name #f) ...
            (%assign-values (name ...) () expression)))))

(define-syntax %assign-values
  (syntax-rules ()
    ((_ () ((name temporary) ...) expression)
     (define %unused (call-with-values (lambda () expression) (lambda (temporary ...) (set! name temporary) ...))))
    ((_ (name more ...) (done ...) expression)
     (%assign-values (more ...) (done ... (name temporary)) expression))))

(define-syntax case-lambda
  (syntax-rules ()
    ((_ (formals form ...) ...)
     (lambda arguments
       (%case-lambda arguments (length arguments) (formals form ...) ...)))))

(define-syntax %case-lambda
  (syntax-rules ()
    ((_ arguments count) (error "no clause of case-lambda takes so many arguments" count))
    ((_ arguments count ((name ...) form ...) clause ...)
     (if (= count (length '(name ...)))
         (apply (lambda (name ...) form ...) arguments)
         (%case-lambda arguments count clause ...)))
    ((_ arguments count ((name ... . rest) form ...) clause ...)
     (if (>= count (length '(name ...)))
         (apply (lambda (name ... . rest) form ...) arguments)
         (%case-lambda arguments count clause ...)))))

(define-syntax define-record-type
  (syntax-rules ()
    ((_ name (constructor argument ...) predicate (field . accessors) ...)
     (begin
       (define name (%record-type 'name '(field ...)))
       (define (constructor argument ...) (%record name '(argument ...) argument ...))
       (define (predicate object) (%record? object name))
       (%define-accessors name field . accessors) ...))))

(define-syntax %define-accessors
  (syntax-rules ()
    ((_ type field) (define %unused #f))
    ((_ type field getter)
     (define getter (let ((index (%record-index type 'field))) (lambda (record) (%record-ref record type index)))))
    ((_ type field getter setter)
     (begin
       (%define-accessors type field getter)
       (define setter
         (let ((index (%record-index type 'field))) (lambda (record value) (%record-set! record type index value))))))))

(define-syntax parameterize
  (syntax-rules ()
    ((_ ((parameter value) ...) form ...)
     (%parameterize (list (cons parameter value) ...) (lambda () form ...)))))

(define-syntax delay-force (syntax-rules () ((_ expression) (%make-promise #f (lambda () expression)))))
(define-syntax delay (syntax-rules () ((_ expression) (delay-force (make-promise expression)))))
(define-syntax cons-stream (syntax-rules () ((_ head tail) (cons head (delay tail)))))

(define-syntax guard
  (syntax-rules ()
    ((_ (variable clause ...) form ...)
     ((call/cc
       (lambda (leave)
         (with-exception-handler
          (lambda (raised)
            ((call/cc
              (lambda (stay)
                (leave (lambda ()
                         (let ((variable raised))
                           (%guard-clauses (stay (lambda () (raise-continuable raised))) clause ...))))))))
          (lambda ()
            (call-with-values (lambda () form ...)
                              (lambda results (leave (lambda () (apply values results)))))))))))))

(define-syntax %guard-clauses
  (syntax-rules (else)
    ((_ otherwise (else form ...)) (cond (else form ...)))
    ((_ otherwise clause ...) (cond clause ... (else otherwise)))))

(define-syntax assert
  (syntax-rules () ((_ test) (if test #t (error "assertion failed" 'test)))))

; ---- Control -----------------------------------------------------------------------------------------------------------

; The dynamic-winds that control is inside of: a list of (before . after), innermost first. A continuation remembers the
; list of its time, and calling it runs what lies between that one and the present one.
(define %winds '())

(define (%rewind target)
  (define (common a b)
    (let ((x (length a)) (y (length b)))
      (let loop ((a (if (> x y) (list-tail a (- x y)) a)) (b (if (> y x) (list-tail b (- y x)) b)))
        (if (eq? a b) a (loop (cdr a) (cdr b))))))
  (let ((shared (common %winds target)))
    (let unwind ()
      (unless (eq? %winds shared)
        (let ((after (cdar %winds)))
          (set! %winds (cdr %winds))
          (after)
          (unwind))))
    (let wind ((to target))
      (unless (eq? to shared)
        (wind (cdr to))
        ((caar to))
        (set! %winds to)))))

(define (dynamic-wind before thunk after)
  (before)
  (set! %winds (cons (cons before after) %winds))
  (call-with-values thunk
    (lambda results
      (set! %winds (cdr %winds))
      (after)
      (apply values results))))

(define (call-with-current-continuation receiver)
  (%call/cc
   (lambda (continuation)
     (let ((winds %winds) (handlers (%handlers)))
       (receiver
        (lambda results
          (unless (eq? winds %winds) (%rewind winds))
          (%set-handlers! handlers)
          (apply continuation results)))))))
(define call/cc call-with-current-continuation)

(define (call-with-values producer consumer) (apply consumer (%values->list (producer))))

(define (with-exception-handler handler thunk) (%with-handlers (cons handler (%handlers)) thunk))

(define (%with-handlers handlers thunk)
  (let ((outer (%handlers)))
    (%set-handlers! handlers)
    (call-with-values thunk
      (lambda results
        (%set-handlers! outer)
        (apply values results)))))

; A handler runs with the handlers outside of it.
(define (raise-continuable object)
  (let ((handlers (%handlers)))
    (if (null? handlers)
        (%uncaught object)
        (%with-handlers (cdr handlers) (lambda () ((car handlers) object))))))

(define (raise object)
  (raise-continuable object)
  (error "a handler returned from a raise that cannot be continued:" object))

(define (error message . irritants) (raise (apply %make-condition message irritants)))
(define (file-error? object) (%condition-of? object 'file))
(define (read-error? object) (or (%condition-of? object 'read) (%condition-of? object 'incomplete)))

(define (exit . status)
  (%rewind '())
  (apply emergency-exit status))

(define (eval expression . environment) ((%compile expression)))
(define (interaction-environment) #f)

(define (load path)
  (let ((port (open-input-file path)))
    (let loop ((form (read port)))
      (unless (eof-object? form)
        ((%compile form path))
        (loop (read port))))))

; ---- Promises and parameters -------------------------------------------------------------------------------------------

(define-record-type promise (%wrap-promise state) promise? (state %promise-state %set-promise-state!))
(define (%make-promise is-done value) (%wrap-promise (cons is-done value)))
(define (make-promise object) (if (promise? object) object (%make-promise #t object)))

(define (force promise)
  (if (not (promise? promise))
      promise
      (let loop ()
        (let ((state (%promise-state promise)))
          (if (car state)
              (cdr state)
              (let ((next ((cdr state))))
                (unless (car (%promise-state promise))
                  (let ((inner (%promise-state next)))
                    (set-car! state (car inner))
                    (set-cdr! state (cdr inner))
                    (%set-promise-state! next state)))
                (loop)))))))

(define (stream-cdr stream) (force (cdr stream)))

(define %parameter-key (list 'parameter))
(define (make-parameter value . converter)
  (let* ((convert (if (pair? converter) (car converter) (lambda (x) x)))
         (value (convert value)))
    (lambda arguments
      (cond ((null? arguments) value)
            ((eq? (car arguments) %parameter-key) (set! value (cadr arguments)))
            (else (convert (car arguments)))))))

(define (%parameterize bindings thunk)
  (let ((inner (map (lambda (binding) ((car binding) (cdr binding))) bindings)) (outer #f))
    (dynamic-wind
     (lambda ()
       (set! outer (map (lambda (binding) ((car binding))) bindings))
       (for-each (lambda (binding value) ((car binding) %parameter-key value)) bindings inner))
     thunk
     (lambda ()
       (set! inner (map (lambda (binding) ((car binding))) bindings))
       (for-each (lambda (binding value) ((car binding) %parameter-key value)) bindings outer)))))

; ---- Lists -------------------------------------------------------------------------------------------------------------

(define (%cars lists) (if (null? lists) '() (cons (caar lists) (%cars (cdr lists)))))
(define (%cdrs lists) (if (null? lists) '() (cons (cdar lists) (%cdrs (cdr lists)))))
(define (%any-ends? lists) (and (pair? lists) (or (not (pair? (car lists))) (%any-ends? (cdr lists)))))

(define (map function list . more)
  (if (null? more)
      (let loop ((rest list) (done '()))
        (if (pair? rest) (loop (cdr rest) (cons (function (car rest)) done)) (reverse done)))
      (let loop ((lists (cons list more)) (done '()))
        (if (%any-ends? lists)
            (reverse done)
            (loop (%cdrs lists) (cons (apply function (%cars lists)) done))))))

(define (for-each function list . more)
  (if (null? more)
      (let loop ((rest list))
        (when (pair? rest)
          (function (car rest))
          (loop (cdr rest))))
      (let loop ((lists (cons list more)))
        (unless (%any-ends? lists)
          (apply function (%cars lists))
          (loop (%cdrs lists))))))

(define (append-map function list) (apply append (map function list)))

(define (filter keep? list)
  (let loop ((rest list) (done '()))
    (cond ((null? rest) (reverse done))
          ((keep? (car rest)) (loop (cdr rest) (cons (car rest) done)))
          (else (loop (cdr rest) done)))))

(define (fold-left function initial list)
  (let loop ((value initial) (rest list))
    (if (null? rest) value (loop (function value (car rest)) (cdr rest)))))

(define (fold-right function initial list)
  (let loop ((value initial) (rest (reverse list)))
    (if (null? rest) value (loop (function (car rest) value) (cdr rest)))))

(define (fold function initial list)
  (let loop ((value initial) (rest list))
    (if (null? rest) value (loop (function (car rest) value) (cdr rest)))))

(define (reduce function initial list)
  (if (null? list) initial (fold function (car list) (cdr list))))

(define (member object list . equality)
  (if (null? equality)
      (%member object list)
      (let loop ((rest list))
        (cond ((null? rest) #f) (((car equality) object (car rest)) rest) (else (loop (cdr rest)))))))

(define (assoc key list . equality)
  (if (null? equality)
      (%assoc key list)
      (let loop ((rest list))
        (cond ((null? rest) #f) (((car equality) key (caar rest)) (car rest)) (else (loop (cdr rest)))))))

(define (list-copy list)
  (let loop ((rest list) (done '()))
    (if (pair? rest)
        (loop (cdr rest) (cons (car rest) done))
        (fold (lambda (item tail) (cons item tail)) rest done))))

(define (make-list count . fill)
  (let loop ((count count) (list '()))
    (if (= count 0) list (loop (- count 1) (cons (if (pair? fill) (car fill) #f) list)))))

(define (list-set! list index value) (set-car! (list-tail list index) value))

(define (iota count . options)
  (let ((start (if (pair? options) (car options) 0))
        (step (if (and (pair? options) (pair? (cdr options))) (cadr options) 1)))
    (let loop ((i (- count 1)) (list '()))
      (if (< i 0) list (loop (- i 1) (cons (+ start (* i step)) list))))))

; Merge sort: stable, and the list itself stays as it is.
(define (list-sort less? list)
  (define (merge a b done)
    (cond ((null? a) (fold cons b done))
          ((null? b) (fold cons a done))
          ((less? (car b) (car a)) (merge a (cdr b) (cons (car b) done)))
          (else (merge (cdr a) b (cons (car a) done)))))
  (define (sort list count)
    (if (= count 1)
        (cons (car list) '())
        (let ((half (quotient count 2)))
          (merge (sort list half) (sort (list-tail list half) (- count half)) '()))))
  (if (null? list) '() (sort list (length list))))

(define (sort sequence less?)
  (if (vector? sequence)
      (list->vector (list-sort less? (vector->list sequence)))
      (list-sort less? sequence)))

; ---- Numbers, text, vectors, tables ------------------------------------------------------------------------------------

(define (even? n) (= (remainder n 2) 0))
(define (odd? n) (not (even? n)))
(define (abs n) (if (negative? n) (- n) n))
(define magnitude abs)
(define (square n) (* n n))
(define (lcm . numbers)
  (fold (lambda (n result) (if (= n 0) 0 (quotient (abs (* n result)) (gcd n result)))) 1 numbers))
(define (floor/ a b) (values (floor-quotient a b) (floor-remainder a b)))
(define (truncate/ a b) (values (truncate-quotient a b) (truncate-remainder a b)))
(define exact->inexact inexact)
(define inexact->exact exact)
(define real? number?)
(define complex? number?)
(define (exact-rational? n) (and (exact? n) (rational? n)))

(define (string-for-each function string . more) (apply for-each function (string->list string) (map string->list more)))
(define (string-map function string . more)
  (list->string (apply map function (string->list string) (map string->list more))))
(define (string->vector string) (list->vector (string->list string)))
(define (vector->string vector) (list->string (vector->list vector)))
(define (string-join strings separator)
  (if (null? strings)
      ""
      (let ((port (open-output-string)))
        (write-string (car strings) port)
        (for-each (lambda (string) (write-string separator port) (write-string string port)) (cdr strings))
        (get-output-string port))))

(define (vector-map function vector . more)
  (list->vector (apply map function (vector->list vector) (map vector->list more))))
(define (vector-for-each function vector . more)
  (if (null? more)
      (let ((length (vector-length vector)))
        (let loop ((i 0))
          (when (< i length)
            (function (vector-ref vector i))
            (loop (+ i 1)))))
      (apply for-each function (vector->list vector) (map vector->list more))))

(define make-hash-table make-equal-hash-table)
(define make-eq-hash-table make-eqv-hash-table)
(define (hash-table-ref table key . options)
  (let ((value (hash-table-ref/default table key %parameter-key)))
    (cond ((not (eq? value %parameter-key)) value)
          ((pair? options) ((car options)))
          (else (error "hash-table-ref: no such key:" key)))))
(define (hash-table-update! table key function . default)
  (hash-table-set! table key (function (apply hash-table-ref table key default))))
(define (hash-table-update!/default table key function default)
  (hash-table-set! table key (function (hash-table-ref/default table key default))))
(define (hash-table-keys table) (map car (hash-table->alist table)))
(define (hash-table-values table) (map cdr (hash-table->alist table)))
(define (hash-table-walk table function)
  (for-each (lambda (entry) (function (car entry) (cdr entry))) (hash-table->alist table)))

(define (boolean=? a b . more) (and (eq? a b) (or (null? more) (apply boolean=? b more))))
(define (symbol=? a b . more) (and (eq? a b) (or (null? more) (apply symbol=? b more))))
(define (current-output-port) %current-output)
(define close-input-port close-port)
(define close-output-port close-port)
(define (call-with-port port function)
  (call-with-values (lambda () (function port))
    (lambda results
      (close-port port)
      (apply values results))))
(define (call-with-output-string function)
  (let ((port (open-output-string)))
    (function port)
    (get-output-string port)))
(define (call-with-input-file path function) (call-with-port (open-input-file path) function))
(define (call-with-output-file path function) (call-with-port (open-output-file path) function))
(define (jiffies-per-second) 1000000)
