//! Threads of a test that take turns, so that every order in which they can meet is tried, one after the other, and each
//! can be had again.
//!
//! One runs at a time. Before it takes the registry's lock it comes to a point where another may go on instead; which one
//! does is a choice. The choices of a run are written down, and the next run makes the last of them otherwise. Runs in
//! which a thread is made to wait more often than `waits` are left out (CHESS, Musuvathi and Qadeer 2007: what goes wrong
//! goes wrong with two).

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex};

thread_local! {
    static ME: RefCell<Option<(Arc<Turns>, usize)>> = const { RefCell::new(None) };
}

/// Somebody else may go on here.
pub(super) fn point() {
    let me = ME.with(|me| me.borrow().clone());
    if let Some((turns, n)) = me {
        turns.point(n);
    }
}

#[derive(Default)]
struct State {
    running: usize,
    alive: Vec<bool>,
    /// To be made, and made: which, of how many.
    wanted: Vec<usize>,
    made: Vec<(usize, usize)>,
    waits: usize,
}

impl State {
    fn choose(&mut self, of: &[usize]) -> usize {
        if of.len() == 1 {
            return of[0];
        }
        let n = self.wanted.get(self.made.len()).copied().unwrap_or(0).min(of.len() - 1);
        self.made.push((n, of.len()));
        of[n]
    }
    fn others(&self, than: usize) -> Vec<usize> {
        (0..self.alive.len()).filter(|n| *n != than && self.alive[*n]).collect()
    }
}

#[derive(Default)]
struct Turns {
    state: Mutex<State>,
    told: Condvar,
}

impl Turns {
    fn point(&self, me: usize) {
        let mut state = self.state.lock().unwrap();
        let mut of = vec![me];
        if state.waits > 0 {
            of.extend(state.others(me));
        }
        state.running = state.choose(&of);
        if state.running != me {
            state.waits -= 1;
            self.told.notify_all();
            drop(self.told.wait_while(state, |s| s.running != me).unwrap());
        }
    }
    fn begin(&self, me: usize) {
        drop(self.told.wait_while(self.state.lock().unwrap(), |s| s.running != me).unwrap());
    }
    fn end(&self, me: usize) {
        let mut state = self.state.lock().unwrap();
        state.alive[me] = false;
        let of = state.others(me);
        if !of.is_empty() {
            state.running = state.choose(&of);
            self.told.notify_all();
        }
    }
}

/// Calls `run` until every order has been tried; it is given what lets threads take turns, calls it with them, and looks
/// at what came of it. How many orders there were.
pub(super) fn every_order(waits: usize, mut run: impl FnMut(&dyn Fn(Vec<Box<dyn FnOnce() + Send>>))) -> usize {
    let (mut wanted, mut orders) = (Vec::new(), 0);
    loop {
        let turns = Arc::new(Turns::default());
        run(&|threads| {
            {
                let mut state = turns.state.lock().unwrap();
                (state.alive, state.wanted, state.waits) = (vec![true; threads.len()], wanted.clone(), waits);
                let all: Vec<usize> = (0..threads.len()).collect();
                state.running = state.choose(&all);
            }
            std::thread::scope(|scope| {
                for (n, thread) in threads.into_iter().enumerate() {
                    let turns = Arc::clone(&turns);
                    scope.spawn(move || {
                        // Also when it panics, or the others would wait for ever.
                        struct End(Arc<Turns>, usize);
                        impl Drop for End {
                            fn drop(&mut self) {
                                ME.with(|me| *me.borrow_mut() = None);
                                self.0.end(self.1);
                            }
                        }
                        turns.begin(n);
                        ME.with(|me| *me.borrow_mut() = Some((Arc::clone(&turns), n)));
                        let _end = End(turns, n);
                        thread();
                    });
                }
            });
        });
        orders += 1;
        let mut made = std::mem::take(&mut turns.state.lock().unwrap().made);
        while made.pop_if(|(n, of)| *n + 1 >= *of).is_some() {}
        let Some(last) = made.last_mut() else { return orders };
        last.0 += 1;
        wanted = made.into_iter().map(|(n, _)| n).collect();
    }
}

#[test]
fn every_order_of_two_that_read_and_then_write_is_tried_and_the_lost_update_found() {
    let mut sums = Vec::new();
    let orders = every_order(2, |take_turns| {
        let sum = Arc::new(Mutex::new(0));
        let add = |sum: Arc<Mutex<i32>>| {
            move || {
                point();
                let was = *sum.lock().unwrap();
                point();
                *sum.lock().unwrap() = was + 1;
            }
        };
        take_turns(vec![Box::new(add(Arc::clone(&sum))), Box::new(add(Arc::clone(&sum)))]);
        sums.push(*sum.lock().unwrap());
    });
    assert_eq!(orders, sums.len());
    assert!(orders >= 6 && sums.contains(&1) && sums.contains(&2), "{sums:?}");
}
