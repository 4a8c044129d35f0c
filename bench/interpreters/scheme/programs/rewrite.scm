; A theorem prover in small, after Boyer's: terms are rewritten by a set of lemmas until none applies, and the result is
; tested for being a tautology of if-expressions. Prints whether the theorem holds, and how many rewrites it took.

(define lemmas (make-eqv-hash-table))

(define (add-lemma! left right)
  (hash-table-update!/default lemmas (car left) (lambda (rest) (append rest (list (cons left right)))) '()))

(for-each
 (lambda (lemma) (add-lemma! (car lemma) (cadr lemma)))
 '(((and p q) (if p (if q (true) (false)) (false)))
   ((or p q) (if p (true) (if q (true) (false))))
   ((not p) (if p (false) (true)))
   ((implies p q) (if p (if q (true) (false)) (true)))
   ((iff p q) (and (implies p q) (implies q p)))
   ((if (if a b c) d e) (if a (if b d e) (if c d e)))
   ((plus (plus x y) z) (plus x (plus y z)))
   ((plus (zero) x) x)
   ((plus (succ x) y) (succ (plus x y)))
   ((times x (plus y z)) (plus (times x y) (times x z)))
   ((times (times x y) z) (times x (times y z)))
   ((times (zero) x) (zero))
   ((times (succ x) y) (plus y (times x y)))
   ((difference x x) (zero))
   ((difference (plus x y) (plus x z)) (difference y z))
   ((equal (plus a b) (zero)) (and (equal a (zero)) (equal b (zero))))
   ((equal (plus a b) (plus a c)) (equal b c))
   ((equal (difference x y) (difference z y)) (if (lessp x y) (not (lessp y z)) (equal x z)))
   ((lessp (plus x y) (plus x z)) (lessp y z))
   ((lessp (times x z) (times y z)) (and (not (equal z (zero))) (lessp x y)))
   ((append (append x y) z) (append x (append y z)))
   ((append (nil) x) x)
   ((append (cons a x) y) (cons a (append x y)))
   ((reverse (append a b)) (append (reverse b) (reverse a)))
   ((reverse (cons a x)) (append (reverse x) (cons a (nil))))
   ((reverse (nil)) (nil))
   ((length (append a b)) (plus (length a) (length b)))
   ((length (reverse x)) (length x))
   ((length (cons a x)) (succ (length x)))
   ((length (nil)) (zero))
   ((member x (append a b)) (or (member x a) (member x b)))
   ((member x (reverse y)) (member x y))))

(define rewrites 0)

; Matches a term against a pattern, whose symbols are variables; an association list, or #f.
(define (match term pattern bindings)
  (if (pair? pattern)
      (and (pair? term)
           (eq? (car term) (car pattern))
           (match-all (cdr term) (cdr pattern) bindings))
      (let ((bound (assq pattern bindings)))
        (if bound
            (and (equal? (cdr bound) term) bindings)
            (cons (cons pattern term) bindings)))))

(define (match-all terms patterns bindings)
  (cond ((null? patterns) (and (null? terms) bindings))
        ((null? terms) #f)
        (else
         (let ((more (match (car terms) (car patterns) bindings)))
           (and more (match-all (cdr terms) (cdr patterns) more))))))

(define (substitute bindings term)
  (if (pair? term)
      (cons (car term) (map (lambda (part) (substitute bindings part)) (cdr term)))
      (let ((bound (assq term bindings))) (if bound (cdr bound) term))))

(define (rewrite term)
  (if (pair? term)
      (rewrite-top (cons (car term) (map rewrite (cdr term))))
      term))

(define (rewrite-top term)
  (let loop ((rules (hash-table-ref/default lemmas (car term) '())))
    (if (null? rules)
        term
        (let ((bindings (match term (caar rules) '())))
          (if bindings
              (begin
                (set! rewrites (+ rewrites 1))
                (rewrite (substitute bindings (cdar rules))))
              (loop (cdr rules)))))))

(define (true-in? term truths) (or (equal? term '(true)) (member term truths)))
(define (false-in? term lies) (or (equal? term '(false)) (member term lies)))

(define (tautology? term truths lies)
  (cond ((true-in? term truths) #t)
        ((false-in? term lies) #f)
        ((not (and (pair? term) (eq? (car term) 'if))) #f)
        ((true-in? (cadr term) truths) (tautology? (caddr term) truths lies))
        ((false-in? (cadr term) lies) (tautology? (cadddr term) truths lies))
        (else
         (and (tautology? (caddr term) (cons (cadr term) truths) lies)
              (tautology? (cadddr term) truths (cons (cadr term) lies))))))

(define theorem
  '(implies (and (implies x y) (and (implies y z) (implies z u))) (implies x u)))

(define definitions
  '((x . (equal (plus (plus a b) (plus c (zero))) (plus a (plus b c))))
    (y . (equal (reverse (append (append a b) (nil))) (append (reverse b) (reverse a))))
    (z . (member a (append b (reverse (append c d)))))
    (u . (lessp (times (plus a b) (plus c d)) (length (append (reverse a) (cons b (nil))))))))

(define (run)
  (let loop ((n 0) (holds #t))
    (if (= n 3)
        (begin (display (list holds rewrites)) (newline))
        (loop (+ n 1) (and holds (tautology? (rewrite (substitute definitions theorem)) '() '()))))))

(run)
