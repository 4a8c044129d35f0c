; Trees of all ages: while one tree and one array live on, many short-lived trees are built from the top down and from the
; bottom up. Prints the number of nodes seen and the array's checksum.

(define (make-node left right) (vector left right 0 0))

(define (tree-size depth) (- (expt 2 (+ depth 1)) 1))

(define (build-up depth)
  (if (= depth 0)
      (make-node #f #f)
      (make-node (build-up (- depth 1)) (build-up (- depth 1)))))

(define (fill-down! depth node)
  (when (> depth 0)
    (vector-set! node 0 (make-node #f #f))
    (vector-set! node 1 (make-node #f #f))
    (fill-down! (- depth 1) (vector-ref node 0))
    (fill-down! (- depth 1) (vector-ref node 1))))

(define (count-nodes node)
  (if node
      (+ 1 (count-nodes (vector-ref node 0)) (count-nodes (vector-ref node 1)))
      0))

(define long-lived-depth 16)
(define longest-depth 16)
(define array-length 500000)

(define (trees-of-depth depth)
  (let ((count (quotient (* 2 (tree-size longest-depth)) (tree-size depth))))
    (do ((i 0 (+ i 1))
         (nodes 0 (let ((top-down (make-node #f #f)))
                    (fill-down! depth top-down)
                    (+ nodes (count-nodes top-down) (count-nodes (build-up depth))))))
        ((= i count) nodes))))

(define (run)
  (let ((long-lived (make-node #f #f))
        (array (make-vector array-length 0.0)))
    (fill-down! long-lived-depth long-lived)
    (do ((i 0 (+ i 1))) ((= i array-length)) (vector-set! array i (/ 1.0 (+ i 1))))
    (let ((nodes (let loop ((depth 4) (nodes 0))
                   (if (> depth longest-depth) nodes (loop (+ depth 2) (+ nodes (trees-of-depth depth)))))))
      (display (list nodes (count-nodes long-lived) (vector-ref array 999)))
      (newline))))

(run)
