; All permutations of a list, each sharing as much as it can with those before it, made again and again while the last few
; results stay alive: objects that die neither young nor in order of age. Prints the sum of what is left.

; Each step reverses the first n elements of the present list and remembers the result.
(define (permutations items)
  (let ((present items) (found (list items)))
    (define (reverse-front n list)
      (let loop ((n n) (list list) (front '()))
        (if (= n 0)
            (let join ((reversed (reverse front)) (tail list)) (join-front reversed tail))
            (loop (- n 1) (cdr list) (cons (car list) front)))))
    (define (join-front reversed tail)
      (if (null? reversed) tail (join-front (cdr reversed) (cons (car reversed) tail))))
    (define (permute n)
      (if (> n 1)
          (let loop ((i (- n 1)))
            (permute (- n 1))
            (unless (= i 0)
              (set! present (reverse-front n present))
              (set! found (cons present found))
              (loop (- i 1))))))
    (permute (length items))
    found))

(define (sum-all lists)
  (let loop ((lists lists) (sum 0))
    (if (null? lists)
        sum
        (loop (cdr lists)
              (let inner ((list (car lists)) (weight 1) (sum sum))
                (if (null? list) sum (inner (cdr list) (+ weight 1) (+ sum (* weight (car list))))))))))

(define generations 12)
(define kept 3)

(define (run)
  (let ((window (make-vector kept '())))
    (do ((i 0 (+ i 1))) ((= i generations))
      (vector-set! window (remainder i kept) (permutations (iota 8 i))))
    (display (list (apply + (map length (vector->list window))) (apply + (map sum-all (vector->list window)))))
    (newline)))

(run)
