//! The tree against a sorted vector.

use super::*;
use proptest::prelude::*;

fn item(score: f64, member: u32) -> Item<u32> {
    Item { score, member }
}

/// Checks every invariant of the module's page; the depth.
fn check(node: &Node<u32>, is_root: bool) -> usize {
    assert!(is_root || node.size() > 0);
    assert!(node.size() <= FULL);
    let Node::Inner(inner) = node else {
        return 0;
    };
    assert_eq!(inner.lows.len(), inner.nodes.len());
    assert_eq!(inner.counts.len(), inner.nodes.len());
    let mut depths = Vec::new();
    for (at, child) in inner.nodes.iter().enumerate() {
        assert_eq!(Some(inner.lows[at]), child.first());
        assert_eq!(inner.counts[at], child.count());
        depths.push(check(child, false));
    }
    depths.dedup();
    assert_eq!(depths.len(), 1);
    depths[0] + 1
}

fn leaves(node: &Node<u32>) -> usize {
    match node {
        Node::Leaf(_) => 1,
        Node::Inner(inner) => inner.nodes.iter().map(leaves).sum(),
    }
}

#[test]
fn what_comes_in_order_fills_the_leaves() {
    let mut tree = Tree::default();
    for n in 0..1000 {
        tree.insert(item(f64::from(n), 0));
    }
    check(&tree.root, true);
    assert_eq!(leaves(&tree.root), 1000 / FULL);
}

#[test]
fn zeros_of_both_signs_are_one_score() {
    let mut tree = Tree::default();
    tree.insert(item(0.0, 2));
    tree.insert(item(-0.0, 1));
    let members: Vec<u32> = tree.from(0).map(|item| item.member).collect();
    assert_eq!(members, [1, 2]);
    assert!(tree.remove(item(0.0, 1)));
}

#[test]
fn infinities_are_first_and_last() {
    let mut tree = Tree::default();
    for score in [f64::INFINITY, 0.0, f64::NEG_INFINITY] {
        tree.insert(item(score, 7));
    }
    assert_eq!(tree.rank(item(f64::INFINITY, 7)), 2);
    assert_eq!(tree.rank(item(f64::NEG_INFINITY, 7)), 0);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: if cfg!(miri) { 4 } else { 256 },
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_does_what_a_sorted_vector_does(
        steps in proptest::collection::vec((0u8..5, -20i32..20, 0u32..12), 1..700)
    ) {
        let (mut tree, mut model) = (Tree::default(), Vec::<Item<u32>>::new());
        for (step, score, member) in steps {
            let item = item(f64::from(score) / 2.0, member);
            let place = model.binary_search_by(|other| other.order(&item));
            prop_assert_eq!(tree.rank(item), place.unwrap_or_else(|at| at));
            match (place, step) {
                (Err(at), 0..3) => {
                    tree.insert(item);
                    model.insert(at, item);
                }
                (Ok(at), 2..) => {
                    prop_assert!(tree.remove(item));
                    model.remove(at);
                }
                (Err(_), _) => prop_assert!(!tree.remove(item)),
                (Ok(_), _) => {}
            }
            prop_assert_eq!(tree.len(), model.len());
        }
        check(&tree.root, true);
        for rank in 0..=model.len() {
            let forwards: Vec<Item<u32>> = tree.from(rank).copied().collect();
            prop_assert_eq!(&forwards, &model[rank..]);
        }
        for rank in 0..model.len() {
            let mut backwards: Vec<Item<u32>> = tree.back_from(rank).copied().collect();
            backwards.reverse();
            prop_assert_eq!(&backwards, &model[..=rank]);
        }
        // And empties to nothing.
        for item in model {
            prop_assert!(tree.remove(item));
            check(&tree.root, true);
        }
        prop_assert_eq!(tree.from(0).count(), 0);
        prop_assert_eq!(tree.back_from(0).count(), 0);
        prop_assert_eq!(leaves(&tree.root), 1);
    }
}
