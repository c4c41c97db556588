namespace NanoLora.Data;

/// <summary>Draws a few labelled texts of each class, as <see cref="FewShot"/> draws images.</summary>
public static class TextFewShot
{
    /// <summary>
    /// The same task with so many training texts of each class, class by class. The same (seed, name, draw) gives the same texts, and those of fewer shots lie
    /// inside those of more; the test texts are the task's own.
    /// </summary>
    /// <param name="task">A task of labelled texts.</param>
    /// <param name="shots">Training texts per class, 1 at least.</param>
    /// <param name="seed">Names the study.</param>
    /// <param name="draw">The number of the draw, from 0.</param>
    /// <exception cref="ArgumentException">The texts have no labels, or a class has too few of them.</exception>
    public static TextTask Draw(TextTask task, int shots, ulong seed, int draw)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.Classes.Count == 0) throw new ArgumentException($"Few-shot: the texts of {task.Name} have no labels; draws take some of each class.");
        if (shots < 1 || draw < 0) throw new ArgumentException($"Few-shot: {task.Name}: {shots} shots, draw {draw}; a number is too small.");
        var candidates = FewShot.Candidates(task.Name, [.. task.Train.Select(static s => s.Label)], task.Classes.Count, seed, draw);
        var taken = FewShot.Take(task.Name, task.Classes, "text", candidates, shots);
        return task with { Train = [.. taken.Select(i => task.Train[i])] };
    }
}
