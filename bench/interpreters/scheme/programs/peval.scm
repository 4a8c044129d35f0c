; A partial evaluator for a first-order language: it specialises functions to the arguments that are known, unfolds and
; simplifies, and remembers what it has specialised. Prints a residual program and the size of all of them.

(define program
  '((power (x n) (if (= n 0) 1 (if (even n) (square (power x (half n))) (* x (power x (- n 1))))))
    (square (x) (* x x))
    (even (n) (= (remainder n 2) 0))
    (half (n) (quotient n 2))
    (dot (v w n) (if (= n 0) 0 (+ (* (ref v (- n 1)) (ref w (- n 1))) (dot v w (- n 1)))))
    (ack (m n) (if (= m 0) (+ n 1) (if (= n 0) (ack (- m 1) 1) (ack (- m 1) (ack m (- n 1))))))
    (interpret (code x) (if (null code) x (interpret (rest code) (step (first code) x))))
    (step (op x) (if (= op 0) (+ x 1) (if (= op 1) (* x 2) (if (= op 2) (- x 3) (square x)))))))

(define primitives
  (list (cons '= =) (cons '+ +) (cons '- -) (cons '* *) (cons 'remainder remainder) (cons 'quotient quotient)
        (cons 'null null?) (cons 'first car) (cons 'rest cdr)))

(define (constant? expression) (or (number? expression) (boolean? expression) (quoted? expression)))
(define (quoted? expression) (and (pair? expression) (eq? (car expression) 'quote)))
(define (value-of expression) (if (quoted? expression) (cadr expression) expression))
(define (to-constant value) (if (or (number? value) (boolean? value)) value (list 'quote value)))

(define residual '())         ; The functions specialised so far.
(define known-calls #f)       ; A table: (name argument-or-#f ...) to the residual function's name.
(define counter 0)

(define (fresh-name name)
  (set! counter (+ counter 1))
  (string->symbol (string-append (symbol->string name) "-" (number->string counter))))

(define (simplify operator operands)
  (cond ((and (eq? operator '*) (memv 0 operands)) 0)
        ((and (eq? operator '*) (eqv? (car operands) 1)) (cadr operands))
        ((and (eq? operator '*) (eqv? (cadr operands) 1)) (car operands))
        ((and (eq? operator '+) (eqv? (car operands) 0)) (cadr operands))
        ((and (eq? operator '+) (eqv? (cadr operands) 0)) (car operands))
        (else (cons operator operands))))

(define (evaluate expression environment depth)
  (cond ((constant? expression) expression)
        ((symbol? expression) (cdr (assq expression environment)))
        ((eq? (car expression) 'if)
         (let ((test (evaluate (cadr expression) environment depth)))
           (if (constant? test)
               (evaluate (if (value-of test) (caddr expression) (cadddr expression)) environment depth)
               (list 'if test
                     (evaluate (caddr expression) environment (+ depth 1))
                     (evaluate (cadddr expression) environment (+ depth 1))))))
        (else
         (let ((operands (map (lambda (operand) (evaluate operand environment depth)) (cdr expression)))
               (primitive (assq (car expression) primitives)))
           (cond ((and primitive (fold (lambda (operand all) (and all (constant? operand))) #t operands))
                  (to-constant (apply (cdr primitive) (map value-of operands))))
                 ((assq (car expression) program)
                  => (lambda (function) (call function operands depth)))
                 (else (simplify (car expression) operands)))))))

; A call is unfolded as long as no unknown test stands around it; else it becomes a call of a specialised function.
(define (call function operands depth)
  (if (= depth 0)
      (evaluate (caddr function) (map cons (cadr function) operands) 0)
      (let* ((key (cons (car function) (map (lambda (operand) (if (constant? operand) operand #f)) operands)))
             (unknown (filter (lambda (operand) (not (constant? operand))) operands))
             (known (hash-table-ref/default known-calls key #f)))
        (cons (or known (specialise function key operands)) unknown))))

(define (specialise function key operands)
  (let ((name (fresh-name (car function))))
    (hash-table-set! known-calls key name)
    (let* ((environment (map (lambda (parameter operand) (cons parameter (if (constant? operand) operand parameter)))
                             (cadr function) operands))
           (parameters (map car (filter (lambda (binding) (eq? (car binding) (cdr binding))) environment)))
           (body (evaluate (caddr function) environment 0)))
      (set! residual (cons (list name parameters body) residual))
      name)))

(define (partially-evaluate expression unknown)
  (set! residual '())
  (set! known-calls (make-equal-hash-table))
  (set! counter 0)
  (let ((body (evaluate expression (map (lambda (name) (cons name name)) unknown) 0)))
    (cons (list 'main unknown body) (reverse residual))))

(define (size tree) (if (pair? tree) (+ (size (car tree)) (size (cdr tree))) 1))

(define (code n) (map (lambda (i) (remainder (* i i) 3)) (iota n)))

(define (run)
  (display (partially-evaluate '(power x 11) '(x)))
  (newline)
  (let loop ((i 0) (total 0))
    (if (= i 160)
        (begin (display total) (newline))
        (loop (+ i 1)
              (+ total
                 (size (partially-evaluate (list 'power 'x (+ i 20)) '(x)))
                 (size (partially-evaluate (list 'dot 'v 'w (+ i 30)) '(v w)))
                 (size (partially-evaluate (list 'interpret (list 'quote (code (+ 60 (remainder i 7)))) 'x) '(x)))
                 (size (partially-evaluate '(ack 2 n) '(n)))
                 (size (partially-evaluate (list 'ack 2 (remainder i 12)) '())))))))

(run)
