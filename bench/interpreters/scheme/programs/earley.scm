; An Earley parser for an ambiguous grammar, which counts the parses of sums and products. Items are vectors and are looked
; up in tables, sets are lists that grow. Prints for each sentence how many items it took and how many parses it has: for
; sums alone these are the Catalan numbers.

(define grammar
  '((S (E))
    (E (E + E) (E * E) (a))))

(define (rules-of symbol) (let ((found (assq symbol grammar))) (if found (cdr found) '())))
(define (nonterminal? symbol) (assq symbol grammar))

; An item: left side, what is left to see, where it began, and its key.
(define (make-item left rest origin) (vector left rest origin))
(define (item-left item) (vector-ref item 0))
(define (item-rest item) (vector-ref item 1))
(define (item-origin item) (vector-ref item 2))

; A set: its items in order, a table of them, and for each item the number of ways to it.
(define (make-set) (vector '() (make-equal-hash-table) '()))
(define (set-items set) (vector-ref set 0))

; Adds ways to an item; returns whether the item is new.
(define (add! set item ways)
  (let* ((key (list (item-left item) (item-rest item) (item-origin item)))
         (table (vector-ref set 1))
         (entry (hash-table-ref/default table key #f)))
    (cond (entry (set-cdr! entry (+ (cdr entry) ways)) #f)
          (else
           (let ((entry (cons item ways)))
             (hash-table-set! table key entry)
             (vector-set! set 0 (cons entry (vector-ref set 0)))
             #t)))))

(define (waiting-for set symbol)
  (filter (lambda (entry) (let ((rest (item-rest (car entry)))) (and (pair? rest) (eq? (car rest) symbol))))
          (set-items set)))

(define (predict! set position)
  (let loop ((work '(S)) (seen '()))
    (cond ((null? work) #f)
          ((memq (car work) seen) (loop (cdr work) seen))
          (else
           (let ((rules (rules-of (car work))))
             (for-each (lambda (rule) (add! set (make-item (car work) rule position) 1)) rules)
             (loop (append (filter nonterminal? (map car rules)) (cdr work)) (cons (car work) seen)))))))

; The grammar has no empty rules, so what is complete began in an earlier set, and those that began later come first.
(define (complete! sets position)
  (do ((origin (- position 1) (- origin 1))) ((< origin 0))
    (let loop ((done '()))
      (let ((ready (filter (lambda (entry)
                             (and (= (item-origin (car entry)) origin)
                                  (null? (item-rest (car entry)))
                                  (not (memq entry done))))
                           (set-items (vector-ref sets position)))))
        (unless (null? ready)
          (for-each
           (lambda (entry)
             (for-each
              (lambda (waiting)
                (let ((item (car waiting)))
                  (add! (vector-ref sets position)
                        (make-item (item-left item) (cdr (item-rest item)) (item-origin item))
                        (* (cdr waiting) (cdr entry)))))
              (waiting-for (vector-ref sets origin) (item-left (car entry)))))
           ready)
          (loop (append ready done)))))))

(define (parse tokens)
  (let* ((count (length tokens))
         (sets (make-vector (+ count 1) #f)))
    (vector-set! sets 0 (make-set))
    (predict! (vector-ref sets 0) 0)
    (let loop ((position 0) (tokens tokens))
      (unless (null? tokens)
        (let ((next (make-set)))
          (vector-set! sets (+ position 1) next)
          (for-each
           (lambda (entry)
             (let ((item (car entry)))
               (add! next (make-item (item-left item) (cdr (item-rest item)) (item-origin item)) (cdr entry))))
           (waiting-for (vector-ref sets position) (car tokens)))
          (complete! sets (+ position 1))
          (predict! next (+ position 1))
          (loop (+ position 1) (cdr tokens)))))
    (let ((parses (hash-table-ref/default (vector-ref (vector-ref sets count) 1) (list 'S '() 0) '(#f . 0))))
      (list (apply + (map (lambda (set) (length (set-items set))) (vector->list sets))) (cdr parses)))))

(define (sentence n)
  (let loop ((n (- n 1)) (tokens '(a)))
    (if (= n 0) tokens (loop (- n 1) (cons* 'a '+ tokens)))))

(for-each (lambda (n) (display (parse (sentence n))) (newline)) '(1 2 3 5 10 40 80 110))
