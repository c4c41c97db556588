namespace NanoLora.Tests.Engine;

/// <summary>Who frees: what is born in a scope dies with it, what is kept survives, and the pool gets every block back.</summary>
public class ScopeTests : EngineTest
{
    [Fact]
    public void Born_in_a_scope_dies_with_it()
    {
        Tensor x;
        using (Backend.Scope())
        {
            x = Workspace.Zeros(new Shape(3));
            Assert.Equal(1, Backend.LiveBlocks);
        }
        Assert.Equal(0, Backend.LiveBlocks);
        Assert.Throws<ObjectDisposedException>(() => x.ToArray());
    }

    [Fact]
    public void Kept_lives_on_in_the_callers_hands()
    {
        Tensor x;
        using (var scope = Backend.Scope()) x = scope.Keep(Workspace.From([1f, 2], new Shape(2)) * 2);
        Assert.Equal([2, 4], x.ToArray());
        Assert.Equal(1, Backend.LiveBlocks);
        x.Dispose();
    }

    [Fact]
    public void Kept_from_an_outer_scope_it_passes_the_inner_ones_by()
    {
        Tensor x;
        using (var outer = Backend.Scope())
        {
            using (Backend.Scope())
            using (Backend.Scope()) x = outer.Keep(Workspace.From([1f, 2], new Shape(2)));
            Assert.Equal([1, 2], x.ToArray());
        }
        Assert.Equal([1, 2], x.ToArray());
        x.Dispose();
    }

    [Fact]
    public void An_operand_on_another_workspaces_tape_is_refused()
    {
        var other = new Workspace(Backend);
        using var a = Trained([1, 2], 2);
        using (Backend.Scope())
        using (other.Scope())
        {
            Tensor here = a.Value.Scale(2), there = a.Value.In(other).Scale(3);
            Assert.Contains("another workspace's tape", Assert.Throws<InvalidOperationException>(() => here + there).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Kept_from_an_inner_scope_dies_with_the_outer_one()
    {
        using (Backend.Scope())
        {
            Tensor kept;
            using (Backend.Scope())
            {
                var lost = Workspace.Zeros(new Shape(4));
                kept = (lost + lost).Keep();
            }
            Assert.Equal([0, 0, 0, 0], kept.ToArray());
            Assert.Equal(1, Backend.LiveBlocks);
        }
        Assert.Equal(0, Backend.LiveBlocks);
    }

    [Fact]
    public void Kept_twice_passes_two_scopes()
    {
        Tensor x;
        using (Backend.Scope())
        {
            using (Backend.Scope()) x = Workspace.From([5f], new Shape(1)).Keep();
            x.Keep();
        }
        Assert.Equal(5, x.Item());
        x.Dispose();
    }

    [Fact]
    public void An_exception_ends_the_scopes_it_passes()
    {
        Assert.Throws<ArgumentException>(() =>
        {
            using var outer = Backend.Scope();
            using var inner = Backend.Scope();
            _ = Workspace.Zeros(new Shape(2, 3)) + Workspace.Zeros(new Shape(4));
        });
        Assert.Equal(0, Backend.LiveBlocks);
    }

    [Fact]
    public void The_end_of_an_outer_scope_ends_the_inner_ones()
    {
        var outer = Backend.Scope();
        Backend.Scope();
        Workspace.Zeros(new Shape(9));
        outer.Dispose();
        Assert.Equal(0, Backend.LiveBlocks);
    }

    [Fact]
    public void The_tape_of_what_is_kept_lives_until_backward()
    {
        using var w = Trained([3], 1);
        using (Backend.Scope())
        {
            Tensor y;
            using (Backend.Scope()) y = ((Tensor)w).Square().Keep();
            y.Backward();
            Assert.Equal([6], w.Gradient!.ToArray());
        }
    }

    [Fact]
    public void A_scope_that_keeps_nothing_cuts_its_tape()
    {
        using var w = Trained([1, 2, 3], 3);
        using (Backend.Scope()) ((Tensor)w).Exp();
        Assert.Equal(0, Workspace.SavedBytes);
        Assert.Equal(0, Workspace.TapeLength);
    }

    [Fact]
    public void A_scope_without_gradients_records_nothing()
    {
        using var w = Trained([1, 2, 3], 3);
        using var scope = Backend.Scope(grad: false);
        var y = ((Tensor)w).Exp().Sum();
        Assert.False(y.NeedsGrad);
        Assert.Equal(0, Workspace.TapeLength);
        Assert.Contains("Trains", Assert.Throws<InvalidOperationException>(y.Backward).Message);
    }

    [Fact]
    public void A_view_of_the_leading_axis_shares_storage_and_outlives_its_source()
    {
        Tensor view;
        using (Backend.Scope())
        {
            var x = Workspace.From([1f, 2, 3, 4, 5, 6], new Shape(3, 2));
            view = x.Slice(0, 1, 3).Reshape(4).Keep();
            Assert.Same(x.Storage, view.Storage);
            Assert.Equal(1, Backend.LiveBlocks);
        }
        Assert.Equal([3, 4, 5, 6], view.ToArray());
        view.Dispose();
    }

    [Fact]
    public void A_detached_tensor_shares_storage_and_has_no_tape()
    {
        using var w = Trained([1, 2], 2);
        using var scope = Backend.Scope();
        var y = ((Tensor)w).Square();
        var z = y.Detach();
        Assert.Same(y.Storage, z.Storage);
        Assert.False(z.NeedsGrad);
    }
}
