; One expression or definition a line, and behind => what the REPL prints for it. A line without => prints nothing.

; Numbers.
(+ 1 2)                                                 ; => 3
(list (+) (*) (- 5) (/ 2))                              ; => (0 1 -5 1/2)
(* 99999999999 99999999999)                             ; => 9999999999800000000001
(+ 4611686018427387903 1)                               ; => 4611686018427387904
(- -4611686018427387904 1)                              ; => -4611686018427387905
(- (+ 4611686018427387903 1) 1)                         ; => 4611686018427387903
(* -4611686018427387904 -1)                             ; => 4611686018427387904
(expt 2 200)                                            ; => 1606938044258990275541962092341162602522202993782792835301376
(list (expt 2 -2) (expt 0 0) (expt 2. 3) (expt 1/2 3))  ; => (1/4 1 8.0 1/8)
(list (/ 6 4) (/ 6 3) (/ 1.0 4) (+ 1/2 1/3))            ; => (3/2 2 0.25 5/6)
(list (quotient -7 2) (remainder -7 2) (modulo -7 2))   ; => (-3 -1 1)
(list (quotient (expt 10 20) -7) (modulo (expt 10 20) -7)) ; => (-14285714285714285714 -5)
(quotient -4611686018427387904 -1)                      ; => 4611686018427387904
(call-with-values (lambda () (floor/ -5 2)) list)       ; => (-3 1)
(list (round 2.5) (round 7/2) (round -5/2) (truncate -2.7) (floor -7/2) (ceiling 7/2)) ; => (2.0 4 -2 -2.0 -4 4)
(list (exact 2.5) (exact 1e20) (inexact 1/3))           ; => (5/2 100000000000000000000 0.3333333333333333)
(list (sqrt 16) (sqrt 2) (exact-integer? (sqrt 16)))    ; => (4 1.4142135623730951 #t)
(call-with-values (lambda () (exact-integer-sqrt 17)) list) ; => (4 1)
(list (max 1 2 3) (min 1 2.0) (abs -5) (gcd 12 18) (lcm 4 6)) ; => (3 1.0 5 6 12)
(list (= 1 1.0) (eqv? 1 1.0) (equal? 1.0 1.0) (< 1 2 3) (< 1 3 2)) ; => (#t #f #t #t #f)
(list (< (expt 10 30) (expt 10 31)) (= 1/2 0.5) (> 1/2 1/3)) ; => (#t #t #t)
(list (exact? 1/2) (integer? 2.0) (rational? 1.5) (number? 'a)) ; => (#t #t #t #f)
(list 1e100 -0.5 .5 1e-7 +inf.0 -inf.0 +nan.0)          ; => (1e+100 -0.5 0.5 1e-07 +inf.0 -inf.0 +nan.0)
(list #xff #b101 #o17 #e1.5 #i1/2)                      ; => (255 5 15 3/2 0.5)
(list (number->string 255 16) (string->number "zz" 36) (string->number "x")) ; => ("ff" 1295 #f)
(list (even? 10) (odd? 10) (zero? 0.0) (negative? -1/2)) ; => (#t #f #t #t)
(exact (floor 1e18))                                    ; => 1000000000000000000
(string->symbol "...")                                  ; => ...
(list '+ '- '-x '1+)                                    ; => (+ - -x 1+)

; Lists.
'(1 . (2 . (3 . ())))                                   ; => (1 2 3)
(append '(1) '(2 3) '() '(4 . 5))                       ; => (1 2 3 4 . 5)
(list (reverse '(1 2 3)) (length '()) (list-tail '(1 2 3) 2) (list-ref '(a b) 1)) ; => ((3 2 1) 0 (3) b)
(list (memq 'b '(a b c)) (member "b" '("a" "b")) (member 2.0 '(1 2) =)) ; => ((b c) ("b") (2))
(list (assq 'b '((a 1) (b 2))) (assoc "x" '(("x" . 1))) (assv 3 '())) ; => ((b 2) ("x" . 1) #f)
(list (map + '(1 2) '(10 20 30)) (map car '((a) (b))))  ; => ((11 22) (a b))
(let ((v '())) (for-each (lambda (x) (set! v (cons x v))) '(1 2)) v) ; => (2 1)
(list (fold + 0 '(1 2)) (fold-left cons '() '(1 2)) (fold-right cons '() '(1 2)) (reduce max 0 '(3 9 4))) ; => (3 ((() . 1) . 2) (1 2) 9)
(list (iota 3) (iota 3 1) (iota 2 0 5) (list-copy '(1 2)) (make-list 2 'x)) ; => ((0 1 2) (1 2 3) (0 5) (1 2) (x x))
(list-sort < '(3 1 2 1))                                ; => (1 1 2 3)
(sort (vector "b" "a") string<?)                        ; => #("a" "b")
(apply + 1 2 '(3 4))                                    ; => 10
(list (list? '(1 . 2)) (pair? '()) (null? '()))         ; => (#f #f #t)
(let ((x (list 1 2))) (set-cdr! (cdr x) x) (list? x))   ; => #f
`(1 ,(+ 1 1) ,@(list 3 4) . 5)                          ; => (1 2 3 4 . 5)
`(1 `(2 ,(3 ,(+ 1 3))))                                 ; => (1 `(2 ,(3 4)))
`#(1 ,@(list 2 3))                                      ; => #(1 2 3)
''a                                                     ; => 'a

; Control.
(let loop ((i 0)) (if (< i 1000000) (loop (+ i 1)) i))  ; => 1000000
(let loop ((i 0) (acc '())) (if (= i 3) acc (loop (+ i 1) (cons (lambda () i) acc)))) ; => (#<procedure> #<procedure> #<procedure>)
(map (lambda (p) (p)) (let loop ((i 0) (acc '())) (if (= i 3) acc (loop (+ i 1) (cons (lambda () i) acc))))) ; => (2 1 0)
(let loop ((i 0)) (if (= i 3) '() (cons i (loop (+ i 1))))) ; => (0 1 2)
(let outer ((i 0) (n 0)) (if (= i 3) n (let inner ((j 0) (n n)) (if (= j i) (outer (+ i 1) n) (inner (+ j 1) (+ n 1)))))) ; => 3
(+ 1 (let loop ((i 0)) (if (= i 5) (* i 10) (let ((k (+ i 1))) (loop k))))) ; => 51
(do ((i 0 (+ i 1)) (s 0 (+ s i))) ((= i 4) s))          ; => 6
(let loop ((i 0)) (set! i (+ i 1)) (if (< i 5) (loop i) i)) ; => 5
(case 3 ((1 2) 'low) ((3 4) 'mid) (else 'high))         ; => mid
(case 'x ((y) 1) (else => (lambda (v) (list v))))       ; => (x)
(cond ((assv 2 '((1 a) (2 b))) => cadr) (else 'none))   ; => b
(list (and) (and 1 2) (or) (or #f 3) (and 1 #f 2))      ; => (#t 2 #f 3 #f)
(list (when #t 1 2) (unless #f 1 2))                    ; => (2 2)
(let* ((x 1) (y (+ x 1))) (list x y))                   ; => (1 2)
(letrec ((even (lambda (n) (or (= n 0) (odd (- n 1))))) (odd (lambda (n) (and (> n 0) (even (- n 1)))))) (even 1001)) ; => #f
(let-values (((a b) (values 1 2)) ((c . d) (values 3 4 5))) (list a b c d)) ; => (1 2 3 (4 5))
(call-with-values (lambda () (values)) list)            ; => ()
(receive (a . rest) (values 1 2 3) (list a rest))       ; => (1 (2 3))
(define (f x) (define y (* x 2)) (define (g z) (+ y z)) (set! y (+ y 1)) (g 10))
(f 1)                                                   ; => 13
(define (h) (define a 1) (define (g x) (if (= x 0) a (k (- x 1)))) (define (k x) (g x)) (define b (g 5)) (+ a b))
(h)                                                     ; => 2
(define-values (q r) (truncate/ 17 5))
(list q r)                                              ; => (3 2)
(define c (case-lambda ((a) (list 'one a)) ((a b) (list 'two a b)) ((a . rest) (list 'more a rest))))
(list (c 1) (c 1 2) (c 1 2 3))                          ; => ((one 1) (two 1 2) (more 1 (2 3)))
((lambda args args) 1 2)                                ; => (1 2)
((lambda (a #;ignored b . c) (list a b c)) 1 2)         ; => (1 2 ())
(define (make-counter) (let ((n 0)) (lambda () (set! n (+ n 1)) n)))
(let ((a (make-counter)) (b (make-counter))) (list (a) (a) (b))) ; => (1 2 1)
(define p (delay (begin (set! effects (+ effects 1)) effects)))
(define effects 0)
(list (force p) (force p))                              ; => (1 1)
(define (stream-loop n) (if (= n 0) (delay 'done) (delay-force (stream-loop (- n 1)))))
(force (stream-loop 100000))                            ; => done
(define param (make-parameter 1 (lambda (x) (* x 10))))
(list (param) (parameterize ((param 2)) (param)) (param)) ; => (10 20 10)
(eval '(let ((x 6)) (* x 7)) (interaction-environment)) ; => 42

; Continuations.
(+ 1 (call/cc (lambda (k) (+ 10 (k 1)))))               ; => 2
(define saved #f)
(define count 0)
(begin (set! count (+ count (call/cc (lambda (k) (set! saved k) 1)))) count) ; => 1
(if (< count 10) (saved 5) 'over)                       ; => 5
(let ((path '())) (dynamic-wind (lambda () (set! path (cons 'in path))) (lambda () (call/cc (lambda (k) (k 1)))) (lambda () (set! path (cons 'out path)))) path) ; => (out in)
(let ((path '()) (k #f)) (dynamic-wind (lambda () (set! path (cons 'in path))) (lambda () (call/cc (lambda (c) (set! k c))) (set! path (cons 'mid path))) (lambda () (set! path (cons 'out path)))) (if (< (length path) 5) (k #f) (reverse path))) ; => (in mid out in mid out)
(call-with-values (lambda () (call/cc (lambda (k) (k 1 2)))) list) ; => (1 2)
(let ((n 0)) (let ((k (call/cc (lambda (c) c)))) (set! n (+ n 1)) (if (< n 3) (k k) n))) ; => 3

; Errors.
(guard (e (#t (error-object-message e))) (car 5))       ; => "car: 5 is not a pair"
(guard (e ((symbol? e) (list 'symbol e)) ((string? e) e)) (raise 'boom)) ; => (symbol boom)
(guard (e ((string? e) 'outer)) (guard (e2 ((number? e2) 'inner)) (raise "text"))) ; => outer
(guard (e (#t (list (error-object-message e) (error-object-irritants e)))) (error "bad thing:" 1 "two" 'three)) ; => ("bad thing:" (1 "two" three))
(guard (e ((assq 'a e) => cdr) ((assq 'b e))) (raise (list (cons 'a 42)))) ; => 42
(with-exception-handler (lambda (c) 10) (lambda () (+ 1 (raise-continuable 'c)))) ; => 11
(guard (e (#t (list 'again e))) (with-exception-handler (lambda (c) (raise (list 'inner c))) (lambda () (raise 'x)))) ; => (again (inner x))
(guard (e ((file-error? e) 'no-file)) (open-input-file "/nowhere/at/all")) ; => no-file
(guard (e ((read-error? e) 'unreadable)) (read (open-input-string "(1 2"))) ; => unreadable
(guard (e (#t (error-object-message e))) (vector-ref (vector 1 2) 2)) ; => "vector-ref: 2 is not an index of the vector"
(guard (e (#t (error-object-message e))) ((lambda (x) x))) ; => "#<procedure> wants 1 argument but was given 0"
(guard (e (#t (error-object-message e))) (cons 1))      ; => "#<procedure cons> wants 2 arguments but was given 1"
(guard (e (#t (error-object-message e))) (undefined-name)) ; => "undefined-name is not defined"
(guard (e (#t (error-object-message e))) (5 5))         ; => "this is not a procedure: 5"
(guard (e (#t (error-object-message e))) (apply + 1))   ; => "apply: 1 is not a list"
(guard (e (#t (error-object-message e))) (letrec ((a b) (b 1)) a)) ; => "a local variable is used before its definition"
(guard (e (#t (error-object-message e))) (/ 1 0))       ; => "/: division by zero"
(guard (e (#t (error-object-message e))) (+ 1 "2"))     ; => "+: \"2\" is not a number"
(guard (e (#t (error-object-message e))) (string-ref "abc" -1)) ; => "string-ref: -1 is not in range"
(guard (e (#t (error-object-message e))) (let loop ((n 0)) (+ 1 (loop n)))) ; => "the recursion is too deep: the stack holds 16777212 values"
(guard (e (#t (error-object-message e))) (eval '(if))) ; => "eval:1: this form has the wrong number of parts: (if)"
(guard (e (#t 'reraised)) (guard (e (#f 'never)) (raise 'x))) ; => reraised

; Macros.
(define-syntax swap! (syntax-rules () ((_ a b) (let ((tmp a)) (set! a b) (set! b tmp)))))
(let ((tmp 1) (other 2)) (swap! tmp other) (list tmp other)) ; => (2 1)
(let ((if list) (begin 1)) (cond (#f 2) (else (if begin 3)))) ; => (1 3)
(define-syntax my-or (syntax-rules () ((_) #f) ((_ e) e) ((_ e r ...) (let ((t e)) (if t t (my-or r ...))))))
(let ((t 5)) (my-or #f t))                              ; => 5
(define (local x) (define-syntax add (syntax-rules () ((_ a) (+ a x)))) (let ((x 100)) (add 1)))
(local 5)                                               ; => 6
(let-syntax ((flip (syntax-rules () ((_ (a b ...) ...) '((b ... a) ...))))) (flip (1 2 3) (4 5))) ; => ((2 3 1) (5 4))
(define-syntax tail (syntax-rules () ((_ a ... last) 'last)))
(list (tail 1) (tail 1 2 3))                            ; => (1 3)
(define-syntax flatten (syntax-rules () ((_ (a ...) ...) '(a ... ...))))
(flatten (1 2) () (3))                                  ; => (1 2 3)
(define-syntax vec (syntax-rules () ((_ #(a b ...)) (list a '(b ...)))))
(vec #(1 2 3))                                          ; => (1 (2 3))
(define-syntax be-like-begin (syntax-rules () ((_ name) (define-syntax name (syntax-rules () ((_ e (... ...)) (begin e (... ...))))))))
(be-like-begin sequence)
(sequence 1 2 3)                                        ; => 3
(let ((=> #f)) (cond (#t => 'ok)))                      ; => ok
(define-record-type point (make-point x y) point? (x point-x set-point-x!) (y point-y))
(let ((p (make-point 1 2))) (set-point-x! p 10) (list (point-x p) (point-y p) (point? p) (point? 5) p)) ; => (10 2 #t #f #<point 10 2>)
(guard (e (#t (error-object-message e))) (point-x 5))   ; => "record field: 5 is not a record of the right type"
(define-record-type <swapped> (make-swapped b a) swapped? (a swapped-a) (b swapped-b))
(swapped-a (make-swapped 1 2))                          ; => 2

; Text.
(list (string-length "héλ") (string-ref "héλ" 2))       ; => (3 #\λ)
(list #\a #\space #\newline #\x41 #\null)                ; => (#\a #\space #\newline #\A #\null)
"a\tb\n\"c\"\\\x41;"                                    ; => "a\tb\n\"c\"\\A"
(list (string-append "a" "b") (substring "hello" 1 3) (string-upcase "ä") (string-copy "abc" 1)) ; => ("ab" "el" "Ä" "bc")
(list (string<? "a" "b" "c") (string=? "a" "a") (string-ci=? "aB" "Ab") (char<? #\a #\b)) ; => (#t #t #t #t)
(let ((s (make-string 2 #\-))) (string-set! s 1 #\λ) s) ; => "-λ"
(list (string->list "abc") (list->string (list #\x #\y)) (string->number "1e3") (number->string 1/3)) ; => ((#\a #\b #\c) "xy" 1000.0 "1/3")
(list (string-map char-upcase "abc") (string-join '("a" "b") ", ")) ; => ("ABC" "a, b")
(list (symbol->string 'abc) (string->symbol "hello") (symbol? 'x) 'FooBar) ; => ("abc" hello #t FooBar)
'|two words|                                            ; => |two words|
(list (char->integer #\A) (integer->char 955) (char-numeric? #\5) (digit-value #\7)) ; => (65 #\λ #t 7)

; Vectors, bytevectors, tables.
(let ((v (make-vector 3 0))) (vector-set! v 1 'x) v)    ; => #(0 x 0)
(list (vector->list #(1 2 3) 1) (list->vector '(1 2)) (vector-map + #(1 2) #(10 20)) (vector-append #(1) #(2))) ; => ((2 3) #(1 2) #(11 22) #(1 2))
(let ((v (vector 1 2 3 4 5))) (vector-copy! v 1 v 0 3) v) ; => #(1 1 2 3 5)
(let ((v (vector 1 2 3 4 5))) (vector-copy! v 0 v 2) (vector-fill! v 0 3) v) ; => #(3 4 5 0 0)
(list #u8(1 2 255) (bytevector-u8-ref #u8(5 6) 1) (utf8->string (string->utf8 "λ")) (bytevector-copy #u8(1 2 3) 1)) ; => (#u8(1 2 255) 6 "λ" #u8(2 3))
(define t (make-equal-hash-table))
(begin (hash-table-set! t '(a "b") 1) (hash-table-set! t 2.5 2) (hash-table-set! t (expt 10 30) 3))
(list (hash-table-ref t (list 'a "b")) (hash-table-ref t 2.5) (hash-table-ref/default t (expt 10 30) 0) (hash-table-size t)) ; => (1 2 3 3)
(begin (hash-table-delete! t 2.5) (list (hash-table-contains? t 2.5) (hash-table-ref t 2.5 (lambda () 'none)))) ; => (#f none)
(begin (hash-table-update! t 'n (lambda (x) (+ x 1)) (lambda () 0)) (hash-table-ref t 'n)) ; => 1
(let ((t (make-eqv-hash-table))) (do ((i 0 (+ i 1))) ((= i 1000)) (hash-table-set! t i (* i i))) (do ((i 0 (+ i 2))) ((>= i 1000)) (hash-table-delete! t i)) (list (hash-table-size t) (hash-table-ref/default t 31 #f) (hash-table-ref/default t 30 #f))) ; => (500 961 #f)
(list (equal? '(1 #(2 "x")) (list 1 (vector 2 "x"))) (eq? '() '()) (eqv? "a" "a") (eqv? (expt 10 30) (expt 10 30))) ; => (#t #t #f #t)

; Ports.
(let ((p (open-input-string "(a . b) 42 \"s\" ; end\n #\\x"))) (let* ((a (read p)) (b (read p)) (c (read p)) (d (read p))) (list a b c d (eof-object? (read p))))) ; => ((a . b) 42 "s" #\x #t)
(let ((p (open-input-string "ab\ncd"))) (let* ((a (read-char p)) (b (peek-char p)) (c (read-line p)) (d (read-line p))) (list a b c d (eof-object? (read-line p))))) ; => (#\a #\b "b" "cd" #t)
(call-with-output-string (lambda (p) (write "q" p) (display "d" p) (write-char #\! p) (newline p))) ; => "\"q\"d!\n"
(begin (display "shown") (newline))                     ; => shown
(let ((x (list 1 2))) (set-cdr! (cdr x) x) x)           ; => (1 2 1 ...)
