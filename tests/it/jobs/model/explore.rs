//! Visits every world that can be reached, breadth first, so that a violation comes with a shortest history.
//!
//! Not `stateright`: its `eventually` is wrong where histories join or run in circles, as its documentation says, and
//! tries again are circles; besides it brings a web server along.

use std::{collections::HashMap, fmt::Debug, hash::Hash};

/// What can happen, from world to world.
pub trait Model {
    type World: Clone + Eq + Hash + Debug;
    type Event: Copy + Debug;

    fn first(&self) -> Self::World;

    /// Everything that can happen next, and what comes of it.
    fn next(&self, world: &Self::World) -> Vec<(Self::Event, Self::World)>;

    /// What must hold of every event.
    fn check(&self, before: &Self::World, after: &Self::World) -> Result<(), &'static str>;

    /// Nothing is left to be done.
    fn is_over(&self, world: &Self::World) -> bool;
}

/// All worlds that were visited.
pub struct Explored<M: Model> {
    worlds: Vec<M::World>,
    /// The worlds that can follow each.
    follow: Vec<Vec<usize>>,
    /// Whence each was reached first, and by what.
    whence: Vec<Option<(usize, M::Event)>>,
    over: Vec<bool>,
}

/// Visits every world, to the first violation.
pub fn explore<M: Model>(model: &M) -> Result<Explored<M>, String> {
    let first = model.first();
    let mut known = HashMap::from([(first.clone(), 0)]);
    let mut it: Explored<M> =
        Explored { worlds: vec![first], follow: Vec::new(), whence: vec![None], over: Vec::new() };
    while it.follow.len() < it.worlds.len() {
        let at = it.follow.len();
        let world = it.worlds[at].clone();
        let mut follow = Vec::new();
        for (event, after) in model.next(&world) {
            let checked = model.check(&world, &after);
            let next = *known.entry(after).or_insert_with_key(|after| {
                it.worlds.push(after.clone());
                it.whence.push(Some((at, event)));
                it.worlds.len() - 1
            });
            checked.map_err(|violated| format!("{violated}\n{}\n{event:?}: {:?}", it.history(at), it.worlds[next]))?;
            follow.push(next);
        }
        it.over.push(model.is_over(&world));
        it.follow.push(follow);
    }
    Ok(it)
}

impl<M: Model> Explored<M> {
    pub fn len(&self) -> usize {
        self.worlds.len()
    }

    /// From every world an end can be reached: with fair luck it will be.
    pub fn can_always_end(&self) -> Result<(), String> {
        let before = self.before();
        let mut can: Vec<bool> = self.over.clone();
        let mut open: Vec<usize> = (0..self.len()).filter(|at| can[*at]).collect();
        while let Some(at) = open.pop() {
            for earlier in &before[at] {
                if !std::mem::replace(&mut can[*earlier], true) {
                    open.push(*earlier);
                }
            }
        }
        let stuck = can.iter().position(|can| !can);
        stuck.map_or(Ok(()), |at| Err(format!("it can never end\n{}", self.history(at))))
    }

    /// Whatever happens, it ends: nothing goes round in circles, and nothing stops before the end.
    pub fn must_end(&self) -> Result<(), String> {
        let mut left: Vec<usize> = self.follow.iter().map(Vec::len).collect();
        let before = self.before();
        let mut open: Vec<usize> = (0..self.len()).filter(|at| left[*at] == 0).collect();
        if let Some(at) = open.iter().find(|at| !self.over[**at]) {
            return Err(format!("it stops before its end\n{}", self.history(*at)));
        }
        while let Some(at) = open.pop() {
            for earlier in &before[at] {
                left[*earlier] -= 1;
                if left[*earlier] == 0 {
                    open.push(*earlier);
                }
            }
        }
        let circling = left.iter().position(|left| *left > 0);
        circling.map_or(Ok(()), |at| Err(format!("it may go on for ever\n{}", self.history(at))))
    }

    /// The worlds that each can follow.
    fn before(&self) -> Vec<Vec<usize>> {
        let mut before = vec![Vec::new(); self.len()];
        for (at, follow) in self.follow.iter().enumerate() {
            for next in follow {
                before[*next].push(at);
            }
        }
        before
    }

    /// How a world was reached.
    fn history(&self, mut at: usize) -> String {
        let mut lines = Vec::new();
        while let Some((earlier, event)) = self.whence[at] {
            lines.push(format!("{event:?}: {:?}", self.worlds[at]));
            at = earlier;
        }
        lines.reverse();
        lines.join("\n")
    }
}
