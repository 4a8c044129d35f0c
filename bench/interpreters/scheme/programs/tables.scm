; Hash tables that grow, change and shrink, with numbers, symbols and lists as keys. Prints checksums.

(define (next state) (remainder (+ (* state 69069) 1) 4294967296))

; A sparse vector in which entries come and go.
(define (churn count)
  (let ((table (make-eqv-hash-table)))
    (let loop ((i 0) (state 1))
      (when (< i count)
        (let ((key (remainder (quotient state 16) 50000)))
          (if (= (remainder (quotient state 1048576) 3) 0)
              (hash-table-delete! table key)
              (hash-table-set! table key (list i key)))
          (loop (+ i 1) (next state)))))
    (let ((entries (hash-table->alist table)))
      (list (hash-table-size table)
            (fold-left (lambda (sum entry) (remainder (+ sum (cadr entry)) 1000003)) 0 entries)))))

; Points of a plane as keys: a flood fill.
(define (flood radius)
  (let ((seen (make-equal-hash-table)))
    (let loop ((work (list (cons 0 0))))
      (unless (null? work)
        (let ((point (car work)))
          (if (or (hash-table-contains? seen point)
                  (> (+ (* (car point) (car point)) (* (cdr point) (cdr point))) (* radius radius)))
              (loop (cdr work))
              (let ((x (car point)) (y (cdr point)))
                (hash-table-set! seen point #t)
                (loop (cons* (cons (+ x 1) y) (cons (- x 1) y) (cons x (+ y 1)) (cons x (- y 1)) (cdr work))))))))
    (hash-table-size seen)))

; A memoised function with flonums and text as values.
(define (collatz-lengths limit)
  (let ((lengths (make-eqv-hash-table)))
    (define (steps n)
      (or (hash-table-ref/default lengths n #f)
          (let ((count (if (= n 1) 1.0 (+ 1.0 (steps (if (even? n) (quotient n 2) (+ 1 (* 3 n))))))))
            (hash-table-set! lengths n count)
            count)))
    (let loop ((n 1) (best 0.0))
      (if (= n limit) (list best (hash-table-size lengths)) (loop (+ n 1) (max best (steps n)))))))

(display (churn 1000000)) (newline)
(display (flood 200)) (newline)
(display (collatz-lengths 100000)) (newline)
