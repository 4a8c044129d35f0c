; Counts the alkanes with n carbon atoms by making each of them once: radicals (a carbon atom with three smaller radicals)
; of each size, and then molecules around their middle bond or middle atom. Prints the counts.


; Multisets of `count` radicals, whose sizes add up to n and are at most `largest`.
(define (choose radicals count n largest)
  (if (= count 0)
      (if (= n 0) (list '()) '())
      (let loop ((size (min n largest)) (found '()))
        (if (or (< size 0) (< (* size count) n))
            found
            (loop (- size 1) (append (choose-of-size radicals count n size) found))))))

; Those whose largest member has just this size: 1 to `count` members of it, and the rest smaller.
(define (choose-of-size radicals count n size)
  (let loop ((members 1) (found '()))
    (if (or (> members count) (> (* members size) n))
        found
        (let ((rests (if (and (= size 0) (< members count))
                         '()
                         (choose radicals (- count members) (- n (* members size)) (- size 1))))
              (heads (multisets (vector-ref radicals size) members)))
          (loop (+ members 1)
                (fold-left (lambda (found head)
                             (fold-left (lambda (found rest) (cons (append head rest) found)) found rests))
                           found
                           heads))))))

; Multisets of `count` members of the list.
(define (multisets list count)
  (cond ((= count 0) '(()))
        ((null? list) '())
        (else
         (append (map (lambda (rest) (cons (car list) rest)) (multisets list (- count 1)))
                 (multisets (cdr list) count)))))

(define (make-radicals most)
  (let ((radicals (make-vector (+ most 1) '())))
    (vector-set! radicals 0 '(H))
    (do ((n 1 (+ n 1))) ((> n most) radicals)
      (vector-set! radicals n (map (lambda (three) (cons 'C three)) (choose radicals 3 (- n 1) (- n 1)))))))

; Two radicals of half the size around a bond.
(define (around-bond radicals n)
  (if (odd? n) '() (multisets (vector-ref radicals (quotient n 2)) 2)))

; Four radicals around an atom, none of which has half of all atoms.
(define (around-atom radicals n) (choose radicals 4 (- n 1) (quotient (- n 1) 2)))

(define (count-paraffins n)
  (let ((radicals (make-radicals (quotient n 2))))
    (+ (length (around-bond radicals n)) (length (around-atom radicals n)))))

(display (map count-paraffins (iota 21 1)))
(newline)
