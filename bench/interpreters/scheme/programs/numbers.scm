; Numbers without bounds: factorials, digits of pi, Bernoulli numbers as fractions. Prints checksums and digits.

(define (factorial n) (if (= n 0) 1 (* n (factorial (- n 1)))))

(define (digit-sum n) (fold-left (lambda (sum c) (+ sum (digit-value c))) 0 (string->list (number->string n))))

; Digits of pi, one after another, from a continued fraction whose state grows.
(define (pi-digits count)
  (let loop ((q 1) (r 0) (t 1) (k 1) (m 3) (x 3) (left count) (digits '()))
    (cond ((= left 0) (reverse digits))
          ((< (+ (* 4 q) (- r t)) (* m t))
           (loop (* 10 q) (* 10 (- r (* m t))) t k
                 (- (quotient (* 10 (+ (* 3 q) r)) t) (* 10 m)) x (- left 1) (cons m digits)))
          (else
           (loop (* q k) (* (+ (* 2 q) r) x) (* t x) (+ k 1)
                 (quotient (+ (* q (+ (* 7 k) 2)) (* r x)) (* t x)) (+ x 2) left digits)))))

(define (bernoulli n)
  (let ((row (make-vector (+ n 1) 0)))
    (let loop ((m 0))
      (vector-set! row m (/ 1 (+ m 1)))
      (do ((j m (- j 1))) ((= j 0))
        (vector-set! row (- j 1) (* j (- (vector-ref row (- j 1)) (vector-ref row j)))))
      (if (= m n) (vector-ref row 0) (loop (+ m 1))))))

(define (run)
  (display (digit-sum (factorial 3000)))
  (newline)
  (for-each display (pi-digits 1500))
  (newline)
  (display (bernoulli 160))
  (newline)
  ; Numbers just above the small ones: an object each.
  (let loop ((i 0) (n (expt 2 62)) (sum 0))
    (if (= i 1500000)
        (begin (display sum) (newline))
        (loop (+ i 1) (+ n i) (remainder (+ sum n) 1000000007)))))

(run)
